//! Angles of the rotary embedding.

use super::config::{Config, Stretch};
use crate::{Array, Result};

/// The angle from one position to the next for each pair of a head's elements.
#[derive(Clone, Debug)]
pub(super) struct Angles(Vec<f64>);

impl Angles {
    /// Those of layers that see all tokens, or of layers with a window. `factors` are what the file divides each angle by.
    pub(super) fn new(config: &Config, window: bool, factors: Option<&[f32]>) -> Self {
        let base = match window {
            true => config.rope_local_base,
            false => config.rope_base,
        };
        // Where both kinds have one base, they have one stretch, too.
        let plain = window && config.rope_local_base != config.rope_base;
        let pairs = 0..config.rope_dims / 2;
        let angles = pairs.map(|i| {
            let angle = base.powf(-2.0 * f64::from(i) / f64::from(config.rope_dims));
            let factor = factors.and_then(|f| f.get(i as usize));
            match (factor, config.rope_stretch) {
                (Some(&factor), _) => angle / f64::from(factor),
                (None, _) if plain => angle,
                (None, stretch) => stretched(angle, stretch),
            }
        });
        Angles(angles.collect())
    }

    /// Cosines and sines of the positions up to `positions`, each (positions, pairs).
    #[track_caller]
    pub(super) fn tables(&self, positions: i32) -> Result<[Array; 2]> {
        let table = |of: fn(f64) -> f64| {
            let rows = (0..positions).map(f64::from);
            let values = rows.flat_map(|p| self.0.iter().map(move |a| of(p * a) as f32));
            Array::from_slice(
                &values.collect::<Vec<_>>(),
                (positions, self.0.len() as i32),
            )
        };
        Ok([table(f64::cos)?, table(f64::sin)?])
    }

    /// The angles.
    pub(super) fn to_vec(&self) -> Vec<f32> {
        self.0.iter().map(|a| *a as f32).collect()
    }

    /// The reciprocals, as [`fast::rope`](crate::fast::rope()) takes them.
    #[track_caller]
    pub(super) fn periods(&self) -> Result<Array> {
        Array::from_iter(self.0.iter().map(|a| (1.0 / a) as f32))
    }
}

/// The angle of a pair after stretching.
fn stretched(angle: f64, stretch: Stretch) -> f64 {
    match stretch {
        Stretch::None => angle,
        Stretch::Linear(factor) => angle / factor,
        Stretch::Llama3 {
            factor,
            low,
            high,
            context,
        } => {
            let turns = context * angle / std::f64::consts::TAU;
            let share = ((turns - low) / (high - low)).clamp(0.0, 1.0);
            angle * (share + (1.0 - share) / factor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three kinds of pairs by the definition in transformers' documentation of Llama 3.1: fast ones stay, slow ones
    /// are divided, at the boundary both rules agree.
    #[test]
    fn llama3_stretches_slow_pairs_only() {
        let stretch = Stretch::Llama3 {
            factor: 8.0,
            low: 1.0,
            high: 4.0,
            context: 8192.0,
        };
        let angle_of_turns = |turns: f64| turns * std::f64::consts::TAU / 8192.0;
        let share = |turns: f64| stretched(angle_of_turns(turns), stretch) / angle_of_turns(turns);
        assert!((share(100.0) - 1.0).abs() < 1e-12);
        assert!((share(4.0) - 1.0).abs() < 1e-12);
        assert!((share(0.5) - 0.125).abs() < 1e-12);
        assert!((share(2.5) - (0.5 + 0.5 / 8.0)).abs() < 1e-12);
    }
}
