//! Finds out how a file is written, from its beginning: separator, quotes, header, encoding, decimal comma.
//! What it finds is said, and each can be decided otherwise. Knows nothing of types beyond numbers and text.

use contract::Dialect;

use crate::input::decoded;
use crate::{FileError, FileFormat, Input, moment, numerals};

/// How much of the file is looked at.
const SAMPLE_BYTES: usize = 1 << 20;
/// Most rows that may stand before the records.
const MAX_SKIPPED: u32 = 50;
/// How many of its rows.
const SAMPLE_ROWS: usize = 2_000;

/// What somebody decided instead of having it found out.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// The format.
    pub format: Option<FileFormat>,
    /// Between two cells.
    pub separator: Option<char>,
    /// Around cells; `Some(None)` is nothing.
    pub quote: Option<Option<char>>,
    /// Whether the first row names the columns.
    pub header: Option<bool>,
    /// The encoding, as the WHATWG calls it.
    pub encoding: Option<String>,
    /// Between the whole and the fraction.
    pub decimal: Option<char>,
    /// Between thousands; `Some(None)` is nothing.
    pub thousands: Option<Option<char>>,
    /// The tokens that mean null besides nothing; none at all where the list is empty.
    pub nulls: Option<Vec<String>>,
}

/// How a file is written.
#[derive(Debug, Clone)]
pub struct Guessed {
    /// Its format.
    pub format: FileFormat,
    /// Its dialect.
    pub dialect: Dialect,
    /// Whether tokens may be taken for null that nobody named.
    pub guess_nulls: bool,
    /// What was found, for people: a clause each.
    pub said: Vec<String>,
}

/// Looks at the beginning of a file; [`FileError::Read`] where there is none.
pub(crate) fn guess(input: &Input, hints: &Hints) -> Result<Guessed, FileError> {
    let format = match hints.format {
        Some(format) => format,
        None => input.format()?,
    };
    let mut guessed = Guessed {
        format,
        dialect: Dialect { nulls: hints.nulls.clone().unwrap_or_default(), ..Dialect::default() },
        guess_nulls: hints.nulls.is_none(),
        said: Vec::new(),
    };
    let head = match format {
        FileFormat::Avro | FileFormat::Parquet => return Ok(guessed),
        _ => input.head(SAMPLE_BYTES)?,
    };
    guessed.encoding(&head, hints);
    if format.separator().is_none() {
        return Ok(guessed);
    }
    let text = decoded(Box::new(std::io::Cursor::new(head)), guessed.dialect.encoding.as_deref())
        .and_then(|mut text| {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut text, &mut bytes)?;
            Ok(bytes)
        })
        .map_err(|error| FileError::Read { file: input.name().to_owned(), error })?;
    // The last row may be cut.
    let whole = match text.iter().rposition(|byte| *byte == b'\n') {
        Some(end) if text.len() >= SAMPLE_BYTES / 2 => text.get(..=end).unwrap_or(&text),
        _ => &text,
    };
    guessed.cells(whole, hints);
    Ok(guessed)
}

impl Guessed {
    fn encoding(&mut self, head: &[u8], hints: &Hints) {
        if let Some(named) = &hints.encoding {
            self.dialect.encoding = Some(named.as_str().into());
        } else if let Some((marked, _)) = encoding_rs::Encoding::for_bom(head) {
            if marked != encoding_rs::UTF_8 {
                self.said.push(format!("encoding {}", marked.name()));
            }
        } else if !is_utf8(head) {
            self.not_utf8();
        }
    }

    /// It is not UTF-8, so that it is what was most common before.
    pub(crate) fn not_utf8(&mut self) {
        self.dialect.encoding = Some("windows-1252".into());
        self.said.push("encoding windows-1252, as it is not UTF-8 (--encoding)".to_owned());
    }

    fn cells(&mut self, text: &[u8], hints: &Hints) {
        let usual = self.format.separator().unwrap_or(',');
        let (separator, quote, escape) = layout(text, usual, hints);
        self.dialect.separator = (separator != usual).then_some(separator);
        self.dialect.quote = quote;
        self.dialect.escape = escape;
        if separator != usual {
            self.said.push(format!("separator {separator:?} (--separator)"));
        }
        match quote {
            None => self.said.push("no quotes (--quote)".to_owned()),
            Some('"') => {}
            Some(other) => self.said.push(format!("quote {other} (--quote)")),
        }
        if escape.is_some() {
            self.said.push("quotes inside of cells behind \\".to_owned());
        }
        let rows = parse(text, separator, quote, escape);
        let rows = self.start(rows, hints);
        self.dialect.header = hints.header.unwrap_or_else(|| has_header(&rows));
        if !self.dialect.header {
            self.said.push("no header (--header)".to_owned());
        }
        let (decimal, thousands) = marks(&rows);
        self.dialect.decimal = hints.decimal.unwrap_or(decimal);
        self.dialect.thousands =
            hints.thousands.unwrap_or(thousands.filter(|thousands| *thousands != self.dialect.decimal));
        if self.dialect.decimal == ',' {
            self.said.push("decimal comma (--decimal)".to_owned());
        }
        if let Some(mark) = self.dialect.thousands {
            self.said.push(format!("thousands apart by {mark:?} (--thousands)"));
        }
    }
}

impl Guessed {
    /// Where the rows begin that are alike: what stands before them is no record.
    fn start(&mut self, mut rows: Cells, hints: &Hints) -> Cells {
        let (share, usual) = fit(&rows);
        let first = rows.first().map_or(0, csv::ByteRecord::len);
        if first == usual || share < 0.8 || rows.len() < 3 {
            return rows;
        }
        if first + 1 == usual && hints.header != Some(false) && share < 1.0 {
            self.dialect.row_names = true;
            self.said.push("rows begin with a name that the header does not count".to_owned());
            return rows;
        }
        let before = rows.iter().take_while(|row| row.len() != usual).count();
        if let Ok(skip) = u32::try_from(before)
            && skip <= MAX_SKIPPED
        {
            self.dialect.skip = skip;
            self.said.push(format!(
                "what stands in the first {} is no record",
                if skip == 1 { "row".to_owned() } else { format!("{skip} rows") }
            ));
            rows.drain(..before);
        }
        rows
    }
}

/// Whether bytes are UTF-8, but for a character that is cut off at their end.
fn is_utf8(bytes: &[u8]) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

type Cells = Vec<csv::ByteRecord>;

fn parse(text: &[u8], separator: char, quote: Option<char>, escape: Option<char>) -> Cells {
    let byte = |letter: char| u8::try_from(letter).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(byte(separator))
        .quoting(quote.is_some())
        .quote(quote.map_or(b'"', byte))
        .escape(escape.map(byte))
        .has_headers(false)
        .flexible(true)
        .from_reader(text);
    reader.byte_records().take(SAMPLE_ROWS).filter_map(Result::ok).collect()
}

/// How well rows fit together: the share that has the usual number of cells, and that number.
fn fit(rows: &Cells) -> (f64, usize) {
    let mut counts = std::collections::BTreeMap::new();
    for row in rows {
        *counts.entry(row.len()).or_insert(0_usize) += 1;
    }
    let usual = counts.iter().max_by_key(|(cells, rows)| (**rows, **cells));
    let Some((cells, most)) = usual else { return (0.0, 0) };
    let share = *most as f64 / rows.len() as f64;
    (share, *cells)
}

/// Separator, quote and escape that make the rows alike.
fn layout(text: &[u8], usual: char, hints: &Hints) -> (char, Option<char>, Option<char>) {
    let mut separators = vec![usual];
    separators.extend([',', ';', '\t', '|'].into_iter().filter(|separator| *separator != usual));
    let separators = hints.separator.map_or(separators, |separator| vec![separator]);
    let quotes = hints.quote.map_or(vec![Some('"'), Some('\''), None], |quote| vec![quote]);
    let escaped = text.windows(2).filter(|pair| pair == b"\\\"").count();
    let escapes = if escaped > 1 { vec![None, Some('\\')] } else { vec![None] };
    let mut best = (usual, Some('"'), None);
    let mut best_fit = 0.0;
    for separator in separators {
        for quote in &quotes {
            // A quote that stands nowhere at the edge of a cell is none.
            if *quote == Some('\'') && !quoted(text, separator, b'\'') {
                continue;
            }
            for escape in &escapes {
                let (share, cells) = fit(&parse(text, separator, *quote, *escape));
                // One column fits anything; more columns of the same fit are better evidence, if little.
                let fit = if cells < 2 { 0.01 } else { share + (cells.min(50) as f64) / 10_000.0 };
                if fit > best_fit + 0.005 {
                    best_fit = fit;
                    best = (separator, *quote, *escape);
                }
            }
        }
    }
    best
}

/// Whether cells begin and end with this quote.
fn quoted(text: &[u8], separator: char, quote: u8) -> bool {
    let separator = u8::try_from(separator).unwrap_or(b',');
    let opens = text.windows(2).filter(|pair| pair == &[separator, quote]).count();
    let closes = text.windows(2).filter(|pair| pair == &[quote, separator]).count();
    opens > 0 && closes > 0 && opens.abs_diff(closes) * 10 <= opens + closes
}

fn is_value(cell: &[u8]) -> bool {
    let cell = cell.trim_ascii();
    let plain: Vec<u8> = cell.iter().map(|byte| if *byte == b',' { b'.' } else { *byte }).collect();
    numerals::look(&plain).is_some() || moment::iso(cell).is_some() || matches!(cell, b"true" | b"false")
}

/// Whether the first row names the columns: it is text where the others are not.
fn has_header(rows: &Cells) -> bool {
    let Some((first, rest)) = rows.split_first() else { return true };
    let (mut for_it, mut against, mut named) = (0, 0, true);
    for (column, name) in first.iter().enumerate() {
        let cells =
            || rest.iter().take(200).filter_map(|row| row.get(column)).filter(|cell| !cell.trim_ascii().is_empty());
        let values = cells().filter(|cell| is_value(cell)).count();
        let mostly = values * 10 >= cells().count() * 8 && values > 0;
        match (is_value(name), mostly) {
            (false, true) if !name.trim_ascii().is_empty() => for_it += 1,
            (true, true) => against += 1,
            (true, false) => against += 1,
            _ => {}
        }
        // A name that is a value of its own column names nothing.
        named &= !cells().any(|cell| cell == name);
    }
    if against > 0 && for_it == 0 && is_sequence(first) {
        return true;
    }
    for_it > against || (for_it == against && against == 0 && named)
}

/// Years or numbers that count up, as pivoted tables have them for names.
fn is_sequence(row: &csv::ByteRecord) -> bool {
    let numbers: Vec<i64> = row.iter().filter_map(numerals::look).filter_map(|seen| seen.whole).collect();
    let steps: Vec<i64> = numbers.windows(2).filter_map(|pair| pair.last()?.checked_sub(*pair.first()?)).collect();
    numbers.len() >= 3 && steps.iter().all(|step| *step > 0 && Some(step) == steps.first())
}

/// What stands before fractions, and between thousands.
fn marks(rows: &Cells) -> (char, Option<char>) {
    let columns = rows.first().map_or(0, csv::ByteRecord::len);
    let (mut commas, mut points, mut comma_groups, mut point_groups) = (0, 0, 0, 0);
    for column in 0..columns {
        let cells = rows.iter().skip(1).filter_map(|row| row.get(column)).map(<[u8]>::trim_ascii);
        let cells: Vec<&[u8]> = cells.filter(|cell| !cell.is_empty()).collect();
        let numbers = cells.iter().filter(|cell| is_marked(cell)).count();
        if numbers * 10 < cells.len() * 8 || numbers == 0 {
            continue;
        }
        for cell in cells {
            let groups = |mark, decimal| {
                let numerals = numerals::Numerals { decimal, thousands: Some(mark) };
                let text = std::str::from_utf8(cell).unwrap_or_default();
                cell.contains(&mark) && numerals.plain(text, &mut String::new()).is_some()
            };
            match (cell.contains(&b','), cell.contains(&b'.')) {
                (true, _) if groups(b',', b'.') => comma_groups += 1,
                (true, _) if groups(b'.', b',') => {
                    point_groups += 1;
                    commas += 1;
                }
                (true, false) => commas += 1,
                (false, true) => points += 1,
                _ => {}
            }
        }
    }
    match () {
        () if commas > 0 && points == 0 => (',', (point_groups > 0).then_some('.')),
        () if comma_groups > 0 && commas == 0 => ('.', Some(',')),
        () => ('.', None),
    }
}

/// A number, whatever stands before its fraction and between its thousands; dates with points are none.
fn is_marked(cell: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(cell) else { return false };
    let mut room = String::new();
    let mut is = |decimal, thousands| numerals::Numerals { decimal, thousands }.plain(text, &mut room).is_some();
    cell.iter().any(u8::is_ascii_digit)
        && (is(b'.', None) || is(b',', None) || is(b'.', Some(b',')) || is(b',', Some(b'.')))
}
