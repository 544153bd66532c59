//! Hearth's wire protocol: the .proto files and the code generated from them.
