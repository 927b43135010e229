//! What attention has seen: keys and values of earlier positions.

mod packed;
mod paged;
mod ring;
mod straight;
mod strip;

pub use self::paged::PagedCache;

use self::packed::Packed;
use self::ring::Ring;
use self::straight::Straight;
use crate::ops::Quantization;
use crate::{Array, Error, Result};

/// Keys and values of the positions that one attention layer has seen, for all sequences of a batch at once.
///
/// | made by | keeps | memory |
/// |---|---|---|
/// | [`growing`](KvCache::growing) | all positions | grows by 256 positions |
/// | [`preallocated`](KvCache::preallocated) | up to a number of positions, then an error | at the first position |
/// | [`rotating`](KvCache::rotating) | the last positions of a window | of the window |
/// | [`quantized`](KvCache::quantized) | all positions in a few bits | grows by 256 positions |
///
/// Sequences that come and go at different times want a [`PagedCache`].
///
///
/// ```
/// use zmlx::{Array, Dtype, nn::KvCache};
/// # fn main() -> zmlx::Result<()> {
/// let mut cache = KvCache::rotating(4)?;
/// let token = |n: f32| Array::full((1, 1, 1, 2), n, Dtype::Float32);
/// for n in 0..6 {
///     cache.update(&token(n as f32)?, &token(n as f32)?)?;
/// }
/// assert_eq!((cache.offset(), cache.len()), (6, 4));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct KvCache {
    kind: Kind,
    offset: i32,
}

#[derive(Clone, Debug)]
enum Kind {
    Straight(Straight),
    Ring(Ring),
    Packed(Packed),
}

/// What the next positions may look at.
#[derive(Clone, Debug)]
pub struct Seen {
    /// (batch, kv_heads, keys, features).
    pub keys: Array,
    /// The same of values.
    pub values: Array,
    /// Bools, (positions, keys), where that is not all up to a position's own with the last position aligned with the last key.
    pub mask: Option<Array>,
}

impl KvCache {
    /// Keeps all positions; room grows by 256 positions at a time.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// let mut cache = nn::KvCache::growing();
    /// let tokens = Array::ones((1, 1, 3, 2), Dtype::Float32)?;
    /// assert_eq!(cache.update(&tokens, &tokens)?.keys.shape(), [1, 1, 3, 2]);
    /// assert_eq!(cache.update(&tokens, &tokens)?.keys.shape(), [1, 1, 6, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn growing() -> Self {
        Kind::Straight(Straight::growing()).into()
    }

    /// Keeps up to `positions`, with room for all of them from the start.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// let mut cache = nn::KvCache::preallocated(4)?;
    /// let tokens = Array::ones((1, 1, 3, 2), Dtype::Float32)?;
    /// cache.update(&tokens, &tokens)?;
    /// assert!(cache.update(&tokens, &tokens).is_err()); // six positions are more than four
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for less than one position.
    #[track_caller]
    pub fn preallocated(positions: i32) -> Result<Self> {
        let positions = at_least_one("positions", positions)?;
        Ok(Kind::Straight(Straight::preallocated(positions)).into())
    }

    /// Keeps the last `window` positions: a position sees as many, its own included.
    ///
    /// # Errors
    /// [`Error::Argument`] for less than one position.
    #[track_caller]
    pub fn rotating(window: i32) -> Result<Self> {
        let window = at_least_one("window", window)?;
        Ok(Kind::Ring(Ring::new(window)).into())
    }

    /// Keeps all positions in a few bits: [`Quantization::affine`] with 8 or 4 bits. A key is rounded once, when it comes in.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn, ops};
    /// let mut cache = nn::KvCache::quantized(ops::Quantization::affine(32, 8));
    /// let tokens = Array::ones((1, 1, 3, 32), Dtype::Float32)?;
    /// let seen = cache.update(&tokens, &tokens)?;
    /// assert!(seen.keys.allclose(&tokens, (0.0, 0.01))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn quantized(quantization: Quantization) -> Self {
        Kind::Packed(Packed::new(quantization)).into()
    }

    /// How many positions came in, those that are forgotten included: the number of the next one.
    pub fn offset(&self) -> i32 {
        self.offset
    }

    /// How many positions are kept.
    pub fn len(&self) -> i32 {
        match &self.kind {
            Kind::Ring(ring) => self.offset.min(ring.window()),
            _ => self.offset,
        }
    }

    /// Whether nothing came in yet.
    pub fn is_empty(&self) -> bool {
        self.offset == 0
    }

    /// Takes in the next positions and gives what they may look at, themselves included.
    ///
    /// `keys`, `values`: (batch, kv_heads, positions, features), with one batch and one number of heads for the life of the cache.
    ///
    /// # Errors
    /// [`Error::Shape`] for shapes that do not fit each other or what is kept, [`Error::Argument`] where there is no room. The cache
    /// then is as before.
    #[track_caller]
    pub fn update(&mut self, keys: &Array, values: &Array) -> Result<Seen> {
        self.update_within(keys, values, None)
    }

    /// The same for a layer with a window, which may be narrower than that of a [`rotating`](Self::rotating) cache.
    #[track_caller]
    pub(in crate::nn) fn update_within(
        &mut self,
        keys: &Array,
        values: &Array,
        window: Option<i32>,
    ) -> Result<Seen> {
        let positions = match (keys.shape(), values.shape()) {
            (&[b, h, s, _], &[vb, vh, vs, _]) if [b, h, s] == [vb, vh, vs] => s,
            (k, v) => {
                return Err(Error::shape(format!(
                    "`values`: expected (batch, kv_heads, positions, features) as of `keys`, got {v:?} beside {k:?}"
                )));
            }
        };
        let Some(end) = self.offset.checked_add(positions) else {
            let expected = "fewer than 2^31 positions in all";
            return Err(Error::argument("keys", expected, positions));
        };
        let before = self.kind.clone();
        let seen = match &mut self.kind {
            Kind::Straight(straight) => straight.update(keys, values, self.offset),
            Kind::Ring(ring) => ring.update(keys, values, self.offset, window),
            Kind::Packed(packed) => packed.update(keys, values, self.offset),
        };
        match &seen {
            Ok(_) => self.offset = end,
            // Keys may have come in before values were refused.
            Err(_) => self.kind = before,
        }
        seen
    }

    /// Forgets all positions from number `positions` on, as when another text begins like this one.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// let mut cache = nn::KvCache::growing();
    /// let tokens = Array::ones((1, 1, 3, 2), Dtype::Float32)?;
    /// cache.update(&tokens, &tokens)?;
    /// cache.truncate(1)?;
    /// assert_eq!((cache.offset(), cache.len()), (1, 1));
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for more positions than there are, and where a rotating cache no longer has those before.
    #[track_caller]
    pub fn truncate(&mut self, positions: i32) -> Result<()> {
        if !(0..=self.offset).contains(&positions) {
            let expected = format!("a number from 0 to {}", self.offset);
            return Err(Error::argument("positions", expected, positions));
        }
        if let Kind::Ring(ring) = &mut self.kind
            && positions < self.offset
            && positions > 0
            && self.offset > ring.window()
        {
            let expected = "0 or all of them, as earlier ones are overwritten";
            return Err(Error::argument("positions", expected, positions));
        }
        self.offset = positions;
        if positions == 0 {
            self.reset();
        }
        Ok(())
    }

    /// Forgets everything, memory included.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// let mut cache = nn::KvCache::growing();
    /// let tokens = Array::ones((1, 1, 3, 2), Dtype::Float32)?;
    /// cache.update(&tokens, &tokens)?;
    /// cache.reset();
    /// assert!(cache.is_empty());
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn reset(&mut self) {
        self.offset = 0;
        match &mut self.kind {
            Kind::Straight(straight) => straight.reset(),
            Kind::Ring(ring) => ring.reset(),
            Kind::Packed(packed) => packed.reset(),
        }
    }

    /// The arrays that it holds, to evaluate them with the result of a step.
    pub fn arrays(&self) -> Vec<&Array> {
        match &self.kind {
            Kind::Straight(straight) => straight.arrays(),
            Kind::Ring(ring) => ring.arrays(),
            Kind::Packed(packed) => packed.arrays(),
        }
    }

    /// How many bytes it holds.
    pub fn nbytes(&self) -> usize {
        self.arrays().iter().map(|a| a.nbytes()).sum()
    }
}

impl From<Kind> for KvCache {
    fn from(kind: Kind) -> Self {
        KvCache { kind, offset: 0 }
    }
}

#[track_caller]
fn at_least_one(name: &str, value: i32) -> Result<i32> {
    match value {
        1.. => Ok(value),
        _ => Err(Error::argument(name, "1 or more", value)),
    }
}
