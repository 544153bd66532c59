use super::*;
use arrow::{
    array::{
        ArrayRef, Decimal128Array, Float64Array, Int32Array, Int32Builder, Int64Array, ListArray, MapBuilder,
        RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
    },
    datatypes::{Field, Int32Type, Schema},
    ipc::reader::{FileReader, StreamReader},
};
use bytes::Bytes;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::sync::Arc;

fn batch() -> RecordBatch {
    let columns: [(&str, ArrayRef); 2] = [
        ("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(-300)]))),
        ("text", Arc::new(StringArray::from(vec![Some("a,b"), Some("日本"), None]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn bytes(format: Format, schema: &arrow::datatypes::SchemaRef, batches: &[RecordBatch]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::new(format, Arc::clone(schema), &mut out).unwrap();
    batches.iter().for_each(|b| writer.write(b).unwrap());
    let rows = batches.iter().map(|b| b.num_rows() as u64).sum::<u64>();
    assert_eq!(writer.finish().unwrap(), rows);
    out
}

fn written(format: Format, batches: &[RecordBatch]) -> String {
    let schema = batches.first().map_or_else(|| batch().schema(), RecordBatch::schema);
    String::from_utf8(bytes(format, &schema, batches)).unwrap()
}

#[test]
fn rows_are_written_in_every_text_format() {
    let rows = [batch()];
    assert_eq!(written(Format::Csv, &rows), "n,text\n1,\"a,b\"\n,日本\n-300,\n");
    assert_eq!(written(Format::Tsv, &rows), "n\ttext\n1\ta,b\n\t日本\n-300\t\n");
    let ndjson = "{\"n\":1,\"text\":\"a,b\"}\n{\"n\":null,\"text\":\"日本\"}\n{\"n\":-300,\"text\":null}\n";
    assert_eq!(written(Format::Ndjson, &rows), ndjson);
    let json = "[{\"n\":1,\"text\":\"a,b\"},{\"n\":null,\"text\":\"日本\"},{\"n\":-300,\"text\":null}]\n";
    assert_eq!(written(Format::Json, &rows), json);
    let table = "\
+------+------+
|    n | text |
+------+------+
|    1 | a,b  |
| NULL | 日本 |
| -300 | NULL |
+------+------+
";
    assert_eq!(written(Format::Table, &rows), table);
    let markdown = "| n | text |\n| ---: | --- |\n| 1 | a,b |\n| NULL | 日本 |\n| -300 | NULL |\n";
    assert_eq!(written(Format::Markdown, &rows), markdown);
    let vertical = "\
-[ row 1 ]------------------------------
n    | 1
text | a,b
-[ row 2 ]------------------------------
n    | NULL
text | 日本
-[ row 3 ]------------------------------
n    | -300
text | NULL
";
    assert_eq!(written(Format::Vertical, &rows), vertical);
}

#[test]
fn no_rows_are_written_in_every_format() {
    for rows in [vec![], vec![RecordBatch::new_empty(batch().schema())]] {
        assert_eq!(written(Format::Csv, &rows), "n,text\n");
        assert_eq!(written(Format::Ndjson, &rows), "");
        assert_eq!(written(Format::Json, &rows), "[]\n");
        assert_eq!(written(Format::Table, &rows), "+---+------+\n| n | text |\n+---+------+\n+---+------+\n");
        assert_eq!(written(Format::Markdown, &rows), "| n | text |\n| ---: | --- |\n");
        assert_eq!(written(Format::Vertical, &rows), "");
        let parquet = Bytes::from(bytes(Format::Parquet, &batch().schema(), &rows));
        assert_eq!(ParquetRecordBatchReader::try_new(parquet, 10).unwrap().count(), 0);
    }
}

#[test]
fn binary_formats_read_back_as_they_were() {
    let rows = batch();
    let arrow = bytes(Format::Arrow, &rows.schema(), &[rows.clone(), rows.clone()]);
    let read: Vec<_> = FileReader::try_new(std::io::Cursor::new(arrow), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, [rows.clone(), rows.clone()]);
    let stream = bytes(Format::ArrowStream, &rows.schema(), std::slice::from_ref(&rows));
    let read: Vec<_> = StreamReader::try_new(&stream[..], None).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, std::slice::from_ref(&rows));
    let parquet = Bytes::from(bytes(Format::Parquet, &rows.schema(), std::slice::from_ref(&rows)));
    let read: Vec<_> = ParquetRecordBatchReader::try_new(parquet, 10).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, [rows]);
}

#[test]
fn columns_of_one_name_differ_where_names_count() {
    let one = |n: i32| Arc::new(Int32Array::from(vec![n])) as ArrayRef;
    let fields = ["a", "a", "a_2", "a"].map(|n| Field::new(n, arrow::datatypes::DataType::Int32, true));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let rows = RecordBatch::try_new(schema, vec![one(1), one(2), one(3), one(4)]).unwrap();
    let rows = std::slice::from_ref(&rows);
    assert_eq!(written(Format::Ndjson, rows), "{\"a\":1,\"a_3\":2,\"a_2\":3,\"a_4\":4}\n");
    assert_eq!(written(Format::Csv, rows), "a,a,a_2,a\n1,2,3,4\n");
    let parquet = Bytes::from(bytes(Format::Parquet, &rows[0].schema(), rows));
    let read = ParquetRecordBatchReader::try_new(parquet, 10).unwrap().next().unwrap().unwrap();
    let names: Vec<_> = read.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["a", "a_3", "a_2", "a_4"]);
}

#[test]
fn a_terminal_is_never_driven_and_a_line_never_torn() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a\x1b[31mb\nc\t\u{202e}|*<"]));
    let rows = RecordBatch::try_from_iter([("x\ny", texts)]).unwrap();
    let rows = std::slice::from_ref(&rows);
    let shown = "a\\u{1b}[31mb\\nc\\t\\u{202e}|*<";
    for format in [Format::Table, Format::Vertical] {
        let text = written(format, rows);
        assert!(text.contains(shown) && text.contains("x\\ny"), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }
    let markdown = written(Format::Markdown, rows);
    assert!(markdown.ends_with("| a\\\\u{1b}\\[31mb\\\\nc\\\\t\\\\u{202e}\\|\\*&lt; |\n"), "{markdown}");
}

#[test]
fn an_empty_text_is_not_a_missing_one() {
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some(""), None, Some("a\"b"), Some("x\r\ny\tz")]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
    let rows = RecordBatch::try_from_iter([("t", Arc::clone(&texts)), ("n", numbers)]).unwrap();
    let csv = "t,n\n\"\",1\n,2\n\"a\"\"b\",3\n\"x\r\ny\tz\",4\n";
    assert_eq!(written(Format::Csv, std::slice::from_ref(&rows)), csv);
    let tsv = "t\tn\n\"\"\t1\n\t2\n\"a\"\"b\"\t3\n\"x\r\ny\tz\"\t4\n";
    assert_eq!(written(Format::Tsv, std::slice::from_ref(&rows)), tsv);
    // Alone on its line it must not vanish.
    let alone = RecordBatch::try_from_iter([("t", texts)]).unwrap();
    assert!(written(Format::Csv, &[alone]).starts_with("t\n\"\"\n\"\"\n"));
}

#[test]
fn numbers_times_and_nested_values_are_valid_json() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    let mut map = MapBuilder::new(None, Int32Builder::new(), StringBuilder::new());
    map.keys().append_value(7);
    map.values().append_value("seven");
    map.append(true).unwrap();
    map.append(false).unwrap();
    let columns: [(&str, ArrayRef); 5] = [
        ("d", Arc::new(Decimal128Array::from(vec![12_345, -5]).with_precision_and_scale(10, 2).unwrap())),
        ("f", Arc::new(Float64Array::from(vec![1.5, f64::NAN]))),
        ("t", Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None]))),
        ("l", Arc::new(list)),
        ("m", Arc::new(map.finish())),
    ];
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let rows = std::slice::from_ref(&rows);
    let expected = "\
{\"d\":123.45,\"f\":1.5,\"t\":\"1970-01-01T00:00:00\",\"l\":[1,null],\"m\":{\"7\":\"seven\"}}
{\"d\":-0.05,\"f\":null,\"t\":null,\"l\":null,\"m\":null}
";
    assert_eq!(written(Format::Ndjson, rows), expected);
    let csv = "\
d,f,t,l,m
123.45,1.5,1970-01-01T00:00:00,\"[1,null]\",\"{\"\"7\"\":\"\"seven\"\"}\"
-0.05,NaN,,,
";
    assert_eq!(written(Format::Csv, rows), csv);
}

#[test]
fn a_table_goes_on_after_the_rows_that_set_its_widths() {
    let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..25_000));
    let many = RecordBatch::try_from_iter([("n", column)]).unwrap();
    let text = written(Format::Table, &[many]);
    // Three rules, a header, the rows; those after the first ten thousand overflow their column instead of being cut.
    assert_eq!(text.lines().count(), 25_004);
    assert!(text.contains("\n| 9999 |\n| 10000 |\n"), "{text}");
}

#[test]
fn formats_are_named_in_errors_and_known_by_extension() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    let error = "xml".parse::<Format>().unwrap_err();
    assert!(error.starts_with("unknown format \"xml\": expected table, csv, tsv, json"), "{error}");
    let of = |name: &str| Format::of_file(Path::new(name));
    assert_eq!(of("a/b.CSV"), Some(Format::Csv));
    assert_eq!(of("x.parquet"), Some(Format::Parquet));
    assert_eq!(of("x.jsonl"), Some(Format::Ndjson));
    assert_eq!((of("x"), of("x.xyz")), (None, None));
}

#[test]
fn an_explanation_is_text_of_many_lines() {
    let columns: [(&str, ArrayRef); 2] = [
        ("plan_type", Arc::new(StringArray::from(vec!["stages", "logical_plan"]))),
        ("plan", Arc::new(StringArray::from(vec!["one\n  two \u{1b}[31m", "three\n"]))),
    ];
    let rows = [RecordBatch::try_from_iter(columns).unwrap()];
    let expected = "== stages\none\n  two \\u{1b}[31m\n\n== logical_plan\nthree\n";
    assert_eq!(written(Format::Table, &rows), expected);
    assert!(written(Format::Csv, &rows).starts_with("plan_type,plan\n"), "programs get it as it is");
}
