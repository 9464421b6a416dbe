// SPDX-License-Identifier: GPL-2.0

//! Medians and spread.

/// What several rounds gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub median: f64,
    /// (largest - smallest) / median
    pub spread: f64,
    pub rounds: usize,
}

/// None without values.
pub fn summary(values: &[f64]) -> Option<Summary> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let half = sorted.len() / 2;
    let median = if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        (sorted[half - 1] + sorted[half]) / 2.0
    };
    let spread = if median == 0.0 {
        0.0
    } else {
        (last - first) / median
    };
    Some(Summary {
        median,
        spread,
        rounds: sorted.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(summary(&[]), None);
        assert_eq!(summary(&[3.0]).unwrap().median, 3.0);
        assert_eq!(summary(&[9.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(summary(&[4.0, 1.0, 2.0, 9.0]).unwrap().median, 3.0);
    }

    #[test]
    fn spread_is_relative_to_the_median() {
        let s = summary(&[90.0, 100.0, 120.0]).unwrap();
        assert!((s.spread - 0.3).abs() < 1e-12);
        assert_eq!(s.rounds, 3);
        assert_eq!(summary(&[0.0, 0.0]).unwrap().spread, 0.0);
    }
}
