//! The bound of a quality event: statistics of one partition and transaction take at most [`MAX`] bytes,
//! however wide the contract and however much of it was broken. What does not fit is left out, the dearest
//! and least needed first; counts of records are never left out.

use schemas::{Bucket, FieldQuality, QualityEvent, ViolationCount};

/// The most bytes of an encoded quality event.
pub(crate) const MAX: usize = 16 * 1024;

/// Leaves out what does not fit: violations beyond half of the room (or what the rest leaves of it), those of
/// the fewest records first; then the largest sketches and histograms; then the last fields; then the delays.
pub(crate) fn fit(event: &mut QualityEvent) {
    let mut room = MAX.saturating_sub(head(event));
    let others = fields(&event.fields) + buckets(&event.delay);
    if violations(&event.violations) + others <= room {
        return;
    }
    fit_violations(&mut event.violations, room.saturating_sub(others).max(room / 2));
    room = room.saturating_sub(violations(&event.violations));
    fit_fields(&mut event.fields, room.saturating_sub(buckets(&event.delay)));
    room = room.saturating_sub(fields(&event.fields));
    if buckets(&event.delay) > room {
        event.delay.clear();
    }
}

fn fit_violations(counts: &mut Vec<ViolationCount>, room: usize) {
    if violations(counts) <= room {
        return;
    }
    counts.sort_by_key(|count| std::cmp::Reverse(count.records));
    // The array's own count and end.
    let mut left = room.saturating_sub(number(counts.len() as i64) + 1);
    counts.retain(|count| {
        let size = violation(count);
        let fits = size <= left;
        left = if fits { left - size } else { 0 };
        fits
    });
}

fn fit_fields(of: &mut Vec<FieldQuality>, room: usize) {
    let mut total = fields(of);
    while total > room {
        let extra = |field: &FieldQuality| (bytes(&field.distinct), buckets(&field.histogram));
        let Some(largest) = of.iter_mut().max_by_key(|field| extra(field).0.max(extra(field).1)) else { return };
        let (distinct, histogram) = extra(largest);
        if distinct.max(histogram) <= 1 {
            break;
        }
        if distinct >= histogram {
            largest.distinct = None;
            total -= distinct - 1;
        } else {
            largest.histogram.clear();
            total -= histogram - 1;
        }
    }
    while total > room
        && let Some(last) = of.pop()
    {
        total -= field(&last);
    }
}

/// Everything but violations, fields and delays, and the ends of their arrays.
fn head(event: &QualityEvent) -> usize {
    let names = [event.product.to_string().len(), event.version.to_string().len(), event.inbox.as_str().len()];
    // A frame, three names with their lengths, eleven numbers.
    5 + names.iter().map(|name| name + 5).sum::<usize>() + 11 * 10
}

fn violations(counts: &[ViolationCount]) -> usize {
    array(counts.len(), counts.iter().map(violation).sum())
}

fn violation(count: &ViolationCount) -> usize {
    text(&count.rule) + 1 + number(count.count) + number(count.records)
}

fn fields(of: &[FieldQuality]) -> usize {
    array(of.len(), of.iter().map(field).sum())
}

fn field(of: &FieldQuality) -> usize {
    let double = |value: Option<f64>| if value.is_some() { 9 } else { 1 };
    text(&of.path)
        + number(of.count)
        + number(of.nulls)
        + double(of.min)
        + double(of.max)
        + bytes(&of.distinct)
        + buckets(&of.histogram)
}

fn buckets(of: &[Bucket]) -> usize {
    array(of.len(), of.iter().map(|bucket| number(i64::from(bucket.index)) + number(bucket.count)).sum())
}

fn bytes(of: &Option<Vec<u8>>) -> usize {
    1 + of.as_ref().map_or(0, |bytes| number(bytes.len() as i64) + bytes.len())
}

fn text(of: &str) -> usize {
    number(of.len() as i64) + of.len()
}

/// One block of items and the end; an empty array is its end alone.
fn array(items: usize, size: usize) -> usize {
    if items == 0 { 1 } else { number(items as i64) + size + 1 }
}

/// Bytes of a zig-zag varint.
fn number(value: i64) -> usize {
    let zigzag = ((value << 1) ^ (value >> 63)) as u64;
    (64 - (zigzag | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests;
