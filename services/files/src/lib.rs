//! CSV, NDJSON and Avro files to and from typed records.
