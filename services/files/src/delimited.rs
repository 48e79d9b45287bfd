//! CSV and TSV as typed records: one per row.

use std::sync::Arc;

use contract::avro::Schema;

use crate::input::Bytes;
use crate::plan::{Slot, plan};
use crate::table::Table;
use crate::{FieldProblem, FileError, Options, Raw, Row};

pub(crate) struct Delimited {
    table: Table,
    schema: Arc<Schema>,
    slots: Vec<Slot>,
    record: u64,
    /// How large the last body was, as a first guess at the next.
    size: usize,
}

impl Delimited {
    pub(crate) fn new(
        input: Bytes,
        name: &str,
        separator: u8,
        schema: &Arc<Schema>,
        options: &Options,
    ) -> Result<Self, FileError> {
        let table = Table::new(input, name, separator, &options.dialect)?;
        let slots = plan(schema, &table.names(), options)
            .map_err(|mistakes| FileError::Header { file: name.to_owned(), mistakes })?;
        Ok(Self { table, schema: Arc::clone(schema), slots, record: 0, size: 64 })
    }

    pub(crate) fn header(&self) -> &csv::ByteRecord {
        self.table.header()
    }

    pub(crate) fn next(&mut self) -> Option<Result<Row, FileError>> {
        let mut cells = csv::ByteRecord::new();
        let line = match self.table.next(&mut cells) {
            Ok(None) => return None,
            Ok(Some(line)) => line,
            Err(error) => return Some(Err(error)),
        };
        self.record += 1;
        let outcome = self.outcome(&cells);
        Some(Ok(Row { record: self.record, line, outcome, raw: Raw::Fields(cells) }))
    }

    fn outcome(&mut self, cells: &csv::ByteRecord) -> Result<Vec<u8>, Vec<FieldProblem>> {
        let wanted = self.table.header().len();
        if cells.len() != wanted {
            let message =
                format!("has {} cells and the header has {wanted}; quote cells that hold the delimiter", cells.len());
            return Err(vec![FieldProblem { path: String::new(), value: String::new(), message }]);
        }
        let mut body = Vec::with_capacity(self.size);
        let mut problems = Vec::new();
        for slot in &self.slots {
            match slot {
                Slot::Cell { index, field, cell } => {
                    cell.write(&self.schema, field, cells.get(*index).unwrap_or_default(), &mut body, &mut problems);
                }
                Slot::Fixed(bytes) => body.extend_from_slice(bytes),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        self.size = body.len();
        Ok(body)
    }
}
