//! Two sides that take turns, so that what else the machine does meets both. Knows nothing of what they do.

use serde::Serialize;

/// One of two that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// What is ours.
    Weir,
    /// What it is compared with.
    Kafka,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Weir, Self::Kafka];
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Weir => "weir",
            Self::Kafka => "Apache Kafka",
        })
    }
}

/// What both sides gave in one round.
#[derive(Debug, Clone)]
pub struct Round<T> {
    /// Of ours.
    pub weir: T,
    /// Of the other.
    pub kafka: T,
}

impl<T> Round<T> {
    /// What one of them gave.
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Weir => &self.weir,
            Side::Kafka => &self.kafka,
        }
    }
}

/// Measures each side once a round; who is first changes from round to round.
///
/// # Errors
/// The first error of `measure`, which ends it.
pub fn alternate<T, E>(rounds: u32, mut measure: impl FnMut(u32, Side) -> Result<T, E>) -> Result<Vec<Round<T>>, E> {
    let turn = |round: u32| {
        if round.is_multiple_of(2) {
            let weir = measure(round, Side::Weir)?;
            Ok(Round { weir, kafka: measure(round, Side::Kafka)? })
        } else {
            let kafka = measure(round, Side::Kafka)?;
            Ok(Round { weir: measure(round, Side::Weir)?, kafka })
        }
    };
    (0..rounds).map(turn).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sides_take_turns_in_being_first() {
        let mut turns = Vec::new();
        let rounds: Result<Vec<Round<Side>>, ()> = alternate(2, |round, side| {
            turns.push((round, side));
            Ok(side)
        });
        assert_eq!(turns, [(0, Side::Weir), (0, Side::Kafka), (1, Side::Kafka), (1, Side::Weir)]);
        assert!(rounds.unwrap().iter().all(|round| round.weir == Side::Weir && round.kafka == Side::Kafka));
    }
}
