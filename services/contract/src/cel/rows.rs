//! The items of arrays and maps that expressions look into, as the program found them: for each array or map
//! a table, for each item a row, for each thing that an expression needs of an item a column. A table within
//! a table (an array in the items of an array) holds the rows of all of them; a [`RowRange`] says which
//! belong together.
//!
//! Made anew for every record, in memory that is used again.

use super::Found;

/// How many cells the tables of one record hold at most; a condition on more has no value.
pub const MAX_CELLS: usize = 1 << 18;

/// How many cells of a table's memory are kept from one record to the next.
const KEPT_CELLS: usize = 1 << 14;

/// The rows of one array or map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowRange {
    pub(super) table: u32,
    pub(super) first: u32,
    pub(super) count: u32,
}

/// All tables of one record.
#[derive(Debug, Default)]
pub struct Rows<'a> {
    tables: Vec<Table<'a>>,
    cells: usize,
    full: bool,
}

#[derive(Debug, Default)]
struct Table<'a> {
    /// How many columns.
    width: usize,
    rows: usize,
    /// Where the rows that belong together begin.
    first: usize,
    cells: Vec<Found<'a>>,
}

impl<'a> Rows<'a> {
    /// As many empty tables as there are widths.
    pub fn prepare(&mut self, widths: &[u32]) {
        self.tables.resize_with(widths.len(), Table::default);
        for (table, width) in self.tables.iter_mut().zip(widths) {
            table.width = *width as usize;
        }
        self.clear();
    }

    /// No rows, in the same tables.
    pub fn clear(&mut self) {
        for table in &mut self.tables {
            table.cells.clear();
            (table.rows, table.first) = (0, 0);
        }
        (self.cells, self.full) = (0, false);
    }

    /// The rows that come belong together.
    pub fn begin(&mut self, table: u32) {
        if let Some(table) = self.tables.get_mut(table as usize) {
            table.first = table.rows;
        }
    }

    /// One more row, of nulls.
    pub fn push(&mut self, table: u32) {
        let Some(table) = self.tables.get_mut(table as usize).filter(|_| !self.full) else { return };
        let more = table.width.max(1);
        if self.cells + more > MAX_CELLS {
            self.full = true;
            return;
        }
        self.cells += more;
        table.rows += 1;
        table.cells.resize(table.rows * table.width, Found::Null);
    }

    /// A cell of the row that came last.
    pub fn set(&mut self, table: u32, column: u32, found: Found<'a>) {
        let Some(table) = self.tables.get_mut(table as usize).filter(|_| !self.full) else { return };
        let (column, row) = (column as usize, table.rows.wrapping_sub(1));
        if column < table.width
            && let Some(cell) = table.cells.get_mut(row.wrapping_mul(table.width).wrapping_add(column))
        {
            *cell = found;
        }
    }

    /// The rows since [`Rows::begin`].
    pub fn range(&self, index: u32) -> Found<'a> {
        let (first, rows) = self.tables.get(index as usize).map_or((0, 0), |table| (table.first, table.rows));
        Found::Rows(RowRange { table: index, first: first as u32, count: (rows - first) as u32 })
    }

    /// A cell, where there is one.
    pub(super) fn cell(&self, table: u32, row: u32, column: usize) -> Option<Found<'a>> {
        let table = self.tables.get(table as usize).filter(|table| column < table.width)?;
        table.cells.get((row as usize).checked_mul(table.width)?.checked_add(column)?).copied()
    }

    /// Whether there were more items than there is room for.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// The memory without what it held, for the next record.
    pub fn recycle(self) -> Rows<'static> {
        let tables = self.tables.into_iter().map(|mut table| {
            table.cells.clear();
            table.cells.shrink_to(KEPT_CELLS);
            // Collecting from nothing keeps the memory and changes the lifetime.
            let cells = table.cells.into_iter().map(|_| Found::Null).collect();
            Table { width: table.width, rows: 0, first: 0, cells }
        });
        Rows { tables: tables.collect(), cells: 0, full: false }
    }
}
