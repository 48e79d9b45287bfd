//! Parquet files as records with names, and their schema as Avro has it.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use crate::documents::{Document, Documents};
use crate::draft::kind::{Kind, Member, Node, Unit};
use crate::moment;
use crate::{FileError, Raw};

/// What every file begins with.
pub(crate) const MAGIC: &[u8] = b"PAR1";
/// Deepest nesting of columns.
const MAX_DEPTH: usize = 32;

/// How a column's values are written.
#[derive(Debug, Clone)]
enum Shape {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    Bytes,
    Decimal {
        precision: u32,
        scale: u32,
    },
    Date,
    /// Units in a second; whether the zone is left open.
    Timestamp {
        per_second: i64,
        local: bool,
    },
    Time {
        per_second: i64,
    },
    Record(Vec<(String, Shape, bool)>),
    List(Box<(Shape, bool)>),
    Map(Box<(Shape, bool)>),
}

pub(crate) struct Columnar {
    name: String,
    rows: RowIter<'static>,
    shape: Shape,
    record: u64,
}

impl Columnar {
    pub(crate) fn new(file: File, name: &str) -> Result<Self, FileError> {
        let fail = |error: io::Error| FileError::Read { file: name.to_owned(), error };
        let opened = guarded(|| {
            let reader = SerializedFileReader::new(file).map_err(io::Error::other)?;
            let root = reader.metadata().file_metadata().schema().clone();
            let shape = group(&root, 0).map_err(io::Error::other)?;
            Ok((RowIter::from_file_into(Box::new(reader)), shape))
        });
        let (rows, shape) = opened.map_err(fail)?;
        Ok(Self { name: name.to_owned(), rows, shape, record: 0 })
    }

    /// What its schema says of its records.
    pub(crate) fn given(&self) -> Kind {
        given(&self.shape)
    }
}

impl Documents for Columnar {
    fn next(&mut self) -> Option<Result<Document, FileError>> {
        let Self { rows, shape, record, .. } = self;
        let read = guarded(|| match rows.next() {
            None => Ok(None),
            Some(row) => Ok(Some(object(&row.map_err(io::Error::other)?, shape))),
        });
        match read {
            Ok(None) => None,
            Ok(Some(value)) => {
                *record += 1;
                Some(Ok(Document { line: *record, value: Ok(value), raw: Raw::Binary }))
            }
            Err(error) => Some(Err(FileError::Read { file: self.name.clone(), error })),
        }
    }
}

/// The library gives up on some damaged files by panicking.
fn guarded<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::InvalidData, "the Parquet file is damaged")))
}

fn group(of: &Type, depth: usize) -> Result<Shape, String> {
    if depth > MAX_DEPTH {
        return Err(format!("columns are nested more than {MAX_DEPTH} deep"));
    }
    let fields = of.get_fields().iter().map(|field| {
        let (shape, nullable) = column(field, depth + 1)?;
        Ok((field.name().to_owned(), shape, nullable))
    });
    Ok(Shape::Record(fields.collect::<Result<_, String>>()?))
}

/// The shape of a column and whether it may be null.
fn column(of: &Type, depth: usize) -> Result<(Shape, bool), String> {
    let about = of.get_basic_info();
    let repetition = if about.has_repetition() { about.repetition() } else { Repetition::REQUIRED };
    let nullable = repetition == Repetition::OPTIONAL;
    let shape = if of.is_primitive() { primitive(of)? } else { nested(of, depth)? };
    if repetition == Repetition::REPEATED {
        return Ok((Shape::List(Box::new((shape, false))), false));
    }
    Ok((shape, nullable))
}

fn nested(of: &Type, depth: usize) -> Result<Shape, String> {
    let converted = of.get_basic_info().converted_type();
    let single = of.get_fields().first().filter(|_| of.get_fields().len() == 1);
    match (converted, single) {
        (ConvertedType::LIST, Some(repeated)) => {
            // Of three levels the middle one is only there to be repeated.
            let element = match repeated.is_group() && repeated.get_fields().len() == 1 {
                true => repeated.get_fields().first(),
                false => None,
            };
            let inner = match element {
                Some(element) if repeated.name() != "array" && !repeated.name().ends_with("_tuple") => {
                    column(element, depth + 1)?
                }
                _ if repeated.is_primitive() => (primitive(repeated)?, false),
                _ => (group(repeated, depth + 1)?, false),
            };
            Ok(Shape::List(Box::new(inner)))
        }
        (ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE, Some(entries)) if entries.is_group() => {
            match entries.get_fields() {
                [_, value] => Ok(Shape::Map(Box::new(column(value, depth + 1)?))),
                _ => Err(format!("the map {} has no values", of.name())),
            }
        }
        _ => group(of, depth),
    }
}

fn primitive(of: &Type) -> Result<Shape, String> {
    let about = of.get_basic_info();
    let digits = || {
        let digits = |number: i32| u32::try_from(number).unwrap_or(0);
        Shape::Decimal { precision: digits(of.get_precision()).max(1), scale: digits(of.get_scale()) }
    };
    let per_second = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => 1_000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    };
    let refuse = || Err(format!("the column {} is of a kind that Weir does not read", of.name()));
    use ConvertedType as C;
    Ok(match (of.get_physical_type(), about.logical_type_ref(), about.converted_type()) {
        (Physical::BOOLEAN, ..) => Shape::Boolean,
        (Physical::INT32, _, C::DATE) => Shape::Date,
        (Physical::INT32, _, C::TIME_MILLIS) => Shape::Time { per_second: 1_000 },
        (Physical::INT32, _, C::UINT_32) => Shape::Long,
        (Physical::INT32, _, C::NONE | C::INT_8 | C::INT_16 | C::INT_32 | C::UINT_8 | C::UINT_16) => Shape::Int,
        (Physical::INT64, Some(LogicalType::Timestamp(stamp)), C::NONE | C::TIMESTAMP_MILLIS | C::TIMESTAMP_MICROS) => {
            Shape::Timestamp { per_second: per_second(&stamp.unit), local: !stamp.is_adjusted_to_u_t_c }
        }
        (Physical::INT64, _, C::TIMESTAMP_MILLIS) => Shape::Timestamp { per_second: 1_000, local: false },
        (Physical::INT64, _, C::TIMESTAMP_MICROS) => Shape::Timestamp { per_second: 1_000_000, local: false },
        (Physical::INT64, _, C::TIME_MICROS) => Shape::Time { per_second: 1_000_000 },
        (Physical::INT64, _, C::NONE | C::INT_64 | C::UINT_64) => Shape::Long,
        (Physical::INT96, ..) => Shape::Timestamp { per_second: 1_000, local: true },
        (Physical::FLOAT, ..) => Shape::Float,
        (Physical::DOUBLE, ..) => Shape::Double,
        (Physical::INT32 | Physical::INT64 | Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY, _, C::DECIMAL) => {
            digits()
        }
        (Physical::BYTE_ARRAY, _, C::UTF8 | C::ENUM | C::JSON) => Shape::Text,
        (Physical::BYTE_ARRAY, _, C::NONE | C::BSON) => Shape::Bytes,
        (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16), C::NONE) => Shape::Float,
        (Physical::FIXED_LEN_BYTE_ARRAY, _, C::NONE) => Shape::Bytes,
        _ => return refuse(),
    })
}

fn object(row: &Row, shape: &Shape) -> Value {
    let Shape::Record(fields) = shape else { return Value::Null };
    let pairs = row.get_column_iter().zip(fields);
    Value::Object(
        pairs.map(|((name, field), (_, shape, _))| (name.clone(), value(field, shape))).collect::<Map<_, _>>(),
    )
}

fn value(field: &Field, shape: &Shape) -> Value {
    match (field, shape) {
        (Field::Null, _) => Value::Null,
        (
            Field::Long(count) | Field::TimestampMillis(count) | Field::TimestampMicros(count),
            Shape::Timestamp { per_second, local },
        ) => moment::date_time(*count, *per_second, !*local).into(),
        (Field::Long(count) | Field::TimeMicros(count), Shape::Time { per_second }) => {
            moment::time(*count, *per_second).into()
        }
        (Field::TimeMillis(count), _) => moment::time(i64::from(*count), 1_000).into(),
        (Field::Date(day), _) => moment::date(i64::from(*day)).into(),
        (Field::Bool(flag), _) => (*flag).into(),
        (Field::Byte(number), _) => (*number).into(),
        (Field::Short(number), _) => (*number).into(),
        (Field::Int(number), _) => (*number).into(),
        (Field::Long(number), _) => (*number).into(),
        (Field::UByte(number), _) => (*number).into(),
        (Field::UShort(number), _) => (*number).into(),
        (Field::UInt(number), _) => (*number).into(),
        (Field::ULong(number), _) => (*number).into(),
        (Field::Float16(number), _) => float(f64::from(f32::from(*number))),
        // The shortest digits that say the same number: it is read as a float again.
        (Field::Float(number), _) => float(number.to_string().parse().unwrap_or(f64::from(*number))),
        (Field::Double(number), _) => float(*number),
        (Field::Decimal(number), Shape::Decimal { scale, .. }) => decimal(number.data(), *scale).into(),
        (Field::Str(text), _) => text.as_str().into(),
        (Field::Bytes(bytes), _) => bytes.data().iter().map(|byte| char::from(*byte)).collect::<String>().into(),
        (Field::Group(row), _) => object(row, shape),
        (Field::ListInternal(list), Shape::List(inner)) => {
            list.elements().iter().map(|item| value(item, &inner.0)).collect()
        }
        (Field::MapInternal(map), Shape::Map(inner)) => {
            let entry =
                |(key, item): &(Field, Field)| (key.to_string().trim_matches('"').to_owned(), value(item, &inner.0));
            Value::Object(map.entries().iter().map(entry).collect())
        }
        (other, _) => other.to_string().into(),
    }
}

fn float(number: f64) -> Value {
    match serde_json::Number::from_f64(number) {
        Some(number) => Value::Number(number),
        None if number.is_nan() => "NaN".into(),
        None if number > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

/// The digits of a two's complement number with a point in them.
fn decimal(bytes: &[u8], scale: u32) -> String {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let start = if negative { -1_i128 } else { 0 };
    let number = bytes.iter().fold(start, |number, byte| (number << 8) | i128::from(*byte));
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if negative { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// The shape as drafts have it.
fn given(shape: &Shape) -> Kind {
    match shape {
        Shape::Boolean => Kind::Boolean,
        Shape::Int => Kind::Int,
        Shape::Long => Kind::Long,
        Shape::Float => Kind::Float,
        Shape::Double => Kind::Double,
        Shape::Text => Kind::Text,
        Shape::Bytes => Kind::Bytes,
        Shape::Decimal { precision, scale } => Kind::Decimal { precision: *precision, scale: *scale },
        Shape::Date => Kind::Date,
        Shape::Time { per_second } => Kind::Time { unit: Unit::of(*per_second) },
        Shape::Timestamp { per_second, local } => Kind::Timestamp { unit: Unit::of(*per_second), local: *local },
        Shape::List(inner) => Kind::Array(Box::new(Node { kind: given(&inner.0), nullable: inner.1 })),
        Shape::Map(inner) => Kind::Map(Box::new(Node { kind: given(&inner.0), nullable: inner.1 })),
        Shape::Record(fields) => Kind::Record(
            fields
                .iter()
                .map(|(name, shape, nullable)| Member {
                    original: name.clone(),
                    node: Node { kind: given(shape), nullable: *nullable },
                })
                .collect(),
        ),
    }
}
