//! Many small questions to a broker and a registry, side by side: each waits for a network, none for another.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Threads at most. Registrations that come together share a transaction of the registry, so many of
/// them cost little more than one.
const SIDE_BY_SIDE: usize = 16;

/// Does `work` for every item; the results in the items' order. After an error nothing new is begun.
///
/// # Errors
/// The first one, in the items' order, of those that were met.
pub(crate) fn each<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    if items.len() < 2 {
        return items.iter().map(work).collect();
    }
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let results: Vec<Mutex<Option<Result<R, E>>>> = items.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(items.len()) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(item), Some(place)) = (items.get(index), results.get(index)) else { return };
                    let result = work(item);
                    failed.fetch_or(result.is_err(), Ordering::Relaxed);
                    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                }
            });
        }
    });
    // Items are begun in order, so whatever was not begun stands behind an error.
    results.into_iter().filter_map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..100).collect();
        let doubled: Result<Vec<u32>, ()> = each(&items, |item| Ok(item * 2));
        assert_eq!(doubled.unwrap(), items.iter().map(|item| item * 2).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_error_is_told_and_ends_it() {
        let items: Vec<u32> = (0..1000).collect();
        let begun = AtomicUsize::new(0);
        let result: Result<Vec<u32>, u32> = each(&items, |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *item >= 7 { Err(*item) } else { Ok(*item) }
        });
        assert_eq!(result.unwrap_err(), 7);
        assert!(begun.load(Ordering::Relaxed) <= 7 + 2 * SIDE_BY_SIDE);
    }
}
