//! What a task computes: SQL plans cut into stages, and their payloads.
