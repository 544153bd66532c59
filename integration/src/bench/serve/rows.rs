//! Writes rows down for the comparison: CSV whose header gives every column a name and a kind, as
//! [`hearth_integration::compare`] reads it.

use crate::failure::{Doing, Failure};
use datafusion::arrow::{
    csv::WriterBuilder,
    datatypes::{DataType, SchemaRef},
    record_batch::RecordBatch,
};
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

pub(super) fn write(schema: &SchemaRef, batches: &[RecordBatch], path: &Path) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path).doing(path.display())?);
    let quoted = |name: &str| name.replace('"', "\"\"");
    let columns =
        schema.fields().iter().map(|field| format!("\"{}:{}\"", quoted(field.name()), kind(field.data_type())));
    writeln!(file, "{}", columns.collect::<Vec<_>>().join(",")).doing(path.display())?;
    let mut writer = WriterBuilder::new().with_header(false).build(&mut file);
    for batch in batches {
        writer.write(batch).doing(path.display())?;
    }
    drop(writer);
    file.flush().doing(path.display())
}

fn kind(data_type: &DataType) -> &'static str {
    match data_type {
        kind if kind.is_integer() => "integer",
        kind if kind.is_floating() => "float",
        kind if kind.is_decimal() => "decimal",
        DataType::Date32 | DataType::Date64 => "date",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::{
        array::{Decimal128Array, Float64Array, StringViewArray},
        datatypes::{Field, Schema},
    };
    use hearth_integration::answers::{Numbers, Order, Table, same};
    use std::sync::Arc;

    #[test]
    fn what_is_written_is_read_as_what_it_was() {
        let fields = vec![
            Field::new("sum(a, \"b\")", DataType::Decimal128(15, 2), true),
            Field::new("f", DataType::Float64, true),
            Field::new("s", DataType::Utf8View, true),
        ];
        let schema = Arc::new(Schema::new(fields));
        let decimals = Decimal128Array::from(vec![Some(-105), None]).with_precision_and_scale(15, 2).unwrap();
        let floats = Float64Array::from(vec![0.1 + 0.2, -1.5]);
        let texts = StringViewArray::from(vec![Some("a, \"b\"\nc"), None]);
        let batch =
            RecordBatch::try_new(schema.clone(), vec![Arc::new(decimals), Arc::new(floats), Arc::new(texts)]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        write(&schema, &[batch], file.path()).unwrap();
        let read = Table::parse(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
        let by_hand = "x:decimal,f:float,s:text\n-1.05,0.30000000000000004,\"a, \"\"b\"\"\nc\"\n,-1.5,\n";
        same(&Table::parse(by_hand).unwrap(), &read, &Order::default(), Numbers::Exact).unwrap();
    }
}
