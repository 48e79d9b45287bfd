//! Sketches of a field's values, as bytes that any reader can merge: distinct values by HyperLogLog,
//! quantiles by a log-bucketed histogram.
//!
//! HyperLogLog (Flajolet and others, 2007), 2,048 registers, standard error 2.3 %. Bytes: `1` and then three
//! bytes per register in use (index little-endian, rank), or `2` and then all registers, whichever is
//! shorter.
//!
//! A bucket of the histogram holds numbers that share sign, exponent and the first four bits of the
//! mantissa, so its middle is within 3.1 % of each of them. Index 0 is zero; that of a negative number is
//! minus its magnitude's.

use schemas::Bucket;

const BITS: u32 = 11;
const REGISTERS: usize = 1 << BITS;

/// Distinct values of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distinct {
    registers: Vec<u8>,
}

impl Default for Distinct {
    fn default() -> Self {
        Self { registers: vec![0; REGISTERS] }
    }
}

impl Distinct {
    /// Reads a sketch back; `None` where the bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut distinct = Self::default();
        match bytes.split_first()? {
            (1, entries) if entries.len() % 3 == 0 => {
                for entry in entries.chunks_exact(3) {
                    let [low, high, rank] = entry else { return None };
                    *distinct.registers.get_mut(usize::from(u16::from_le_bytes([*low, *high])))? = *rank;
                }
            }
            (2, registers) if registers.len() == REGISTERS => distinct.registers.copy_from_slice(registers),
            _ => return None,
        }
        Some(distinct)
    }

    /// The bytes, in the shorter form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let used = self.registers.iter().filter(|rank| **rank > 0).count();
        if used * 3 >= REGISTERS {
            let mut bytes = vec![2];
            bytes.extend_from_slice(&self.registers);
            return bytes;
        }
        let mut bytes = vec![1];
        for (index, rank) in self.registers.iter().enumerate().filter(|(_, rank)| **rank > 0) {
            bytes.extend_from_slice(&(index as u16).to_le_bytes());
            bytes.push(*rank);
        }
        bytes
    }

    /// Takes in a value by its hash.
    #[inline]
    pub fn insert(&mut self, hash: u64) {
        let index = (hash >> (64 - BITS)) as usize;
        let rank = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros() as u8 + 1;
        if let Some(register) = self.registers.get_mut(index)
            && *register < rank
        {
            *register = rank;
        }
    }

    /// Takes in another sketch.
    pub fn merge(&mut self, other: &Self) {
        for (register, rank) in self.registers.iter_mut().zip(&other.registers) {
            *register = (*register).max(*rank);
        }
    }

    /// Whether nothing was taken in.
    pub fn is_empty(&self) -> bool {
        self.registers.iter().all(|rank| *rank == 0)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.registers.fill(0);
    }

    /// About how many distinct values were taken in.
    pub fn estimate(&self) -> f64 {
        let count = REGISTERS as f64;
        let zeros = self.registers.iter().filter(|rank| **rank == 0).count();
        let sum: f64 = self.registers.iter().map(|rank| 2_f64.powi(-i32::from(*rank))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / count) * count * count / sum;
        if raw <= 2.5 * count && zeros > 0 {
            return count * (count / zeros as f64).ln();
        }
        raw
    }
}

/// A 64-bit hash of bytes, the same on every machine and in every release: it is part of the sketch's format.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15 ^ bytes.len() as u64;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        state = fold(state ^ u64::from_le_bytes(*chunk));
    }
    let tail = rest.iter().rev().fold(0_u64, |tail, byte| tail << 8 | u64::from(*byte));
    fold(fold(state ^ tail))
}

#[inline]
fn fold(value: u64) -> u64 {
    let wide = u128::from(value ^ 0xa076_1d64_78bd_642f) * 0xe703_7ed1_a0b4_28db_u128;
    (wide as u64) ^ (wide >> 64) as u64
}

/// How many buckets next to each other are counted without looking for them: numbers whose greatest is up to
/// 2^32 times the least.
const NEAR: usize = 512;

/// A histogram of numbers in buckets that grow with them.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// The counts of the bucket `first` and those behind it, at most [`NEAR`].
    near: Vec<i64>,
    first: i32,
    /// All others, ascending.
    far: Vec<(i32, i64)>,
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.to_buckets() == other.to_buckets()
    }
}

impl Eq for Histogram {}

impl Histogram {
    /// Takes in a number; what is no number is not taken in.
    #[inline]
    pub fn insert(&mut self, value: f64) {
        if !value.is_nan() {
            self.add(bucket_of(value), 1);
        }
    }

    #[inline]
    fn add(&mut self, index: i32, count: i64) {
        match self.near.get_mut(index.wrapping_sub(self.first) as u32 as usize) {
            Some(counted) => *counted += count,
            None => self.add_far(index, count),
        }
    }

    /// The first bucket of all lies in the middle of those that are near.
    #[inline(never)]
    fn add_far(&mut self, index: i32, count: i64) {
        if self.near.is_empty() {
            self.near.resize(NEAR, 0);
            self.first = index.saturating_sub(NEAR as i32 / 2);
            return self.add(index, count);
        }
        match self.far.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(at) => {
                if let Some((_, counted)) = self.far.get_mut(at) {
                    *counted += count;
                }
            }
            Err(at) => self.far.insert(at, (index, count)),
        }
    }

    /// Its buckets, ascending; none is empty.
    fn buckets(&self) -> impl Iterator<Item = (i32, i64)> + '_ {
        let near = self.near.iter().zip(self.first..).map(|(count, index)| (index, *count));
        let split = self.far.partition_point(|(index, _)| *index < self.first);
        let (before, behind) = self.far.split_at_checked(split).unwrap_or_default();
        before.iter().copied().chain(near).chain(behind.iter().copied()).filter(|(_, count)| *count != 0)
    }

    /// Takes in another histogram.
    pub fn merge(&mut self, other: &[Bucket]) {
        for bucket in other {
            self.add(bucket.index, bucket.count);
        }
    }

    /// Its buckets, ascending.
    pub fn to_buckets(&self) -> Vec<Bucket> {
        self.buckets().map(|(index, count)| Bucket { index, count }).collect()
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.near.clear();
        self.far.clear();
    }

    /// The number below which the fraction `q` (0 to 1) of all lies, within 3.1 %; `None` where it is empty.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total: i64 = self.buckets().map(|(_, count)| count).sum();
        let wanted = q.clamp(0.0, 1.0) * total as f64;
        let mut passed = 0;
        for (index, count) in self.buckets() {
            passed += count;
            if passed as f64 >= wanted {
                let (low, high) = bucket_bounds(index);
                return Some(low / 2.0 + high / 2.0);
            }
        }
        None
    }
}

/// The bucket that a number lies in.
#[inline]
pub fn bucket_of(value: f64) -> i32 {
    let index = (value.abs().to_bits() >> 48) as i32;
    if value < 0.0 { -index } else { index }
}

/// The bounds of a bucket: the end nearer to zero belongs to it.
pub fn bucket_bounds(index: i32) -> (f64, f64) {
    let at = |index: u32| f64::from_bits(u64::from(index.min(0x7ff0)) << 48).min(f64::MAX);
    let magnitude = index.unsigned_abs();
    match index {
        0 => (0.0, 0.0),
        1.. => (at(magnitude), at(magnitude.saturating_add(1))),
        _ => (-at(magnitude.saturating_add(1)), -at(magnitude)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_values_are_estimated_and_survive_their_bytes() {
        for count in [0_u64, 1, 10, 500, 5_000, 200_000] {
            let mut distinct = Distinct::default();
            for value in 0..count {
                distinct.insert(hash(&value.to_le_bytes()));
                distinct.insert(hash(&value.to_le_bytes()));
            }
            let error = (distinct.estimate() - count as f64).abs() / (count.max(1) as f64);
            assert!(error < 0.08, "{count}: {}", distinct.estimate());
            assert_eq!(Distinct::from_bytes(&distinct.to_bytes()), Some(distinct));
        }
        assert_eq!(Distinct::from_bytes(&[1, 0xff, 0xff, 1]), None);
    }

    #[test]
    fn quantiles_are_within_their_bound_and_merge() {
        let (mut even, mut odd) = (Histogram::default(), Histogram::default());
        for value in 1..=10_000 {
            if value % 2 == 0 { &mut even } else { &mut odd }.insert(f64::from(value));
        }
        even.merge(&odd.to_buckets());
        for (q, exact) in [(0.5, 5_000.0), (0.95, 9_500.0), (0.99, 9_900.0)] {
            let found = even.quantile(q).unwrap_or_default();
            assert!((found - exact).abs() / exact < 0.035, "{q}: {found}");
        }
        let (low, high) = bucket_bounds(bucket_of(-3.3));
        assert!(low < -3.3 && -3.3 <= high);
    }
}
