//! Numbers from a seed, and from bytes: the same from the same.

/// A number that stands for these bytes, the same wherever it is asked for: of a call's key, or a
/// node's address. Not against those who choose bytes so that numbers meet.
///
/// ```
/// use brokerless_patterns::balance::hash;
///
/// assert_eq!(hash(b"tcp://a:1"), 0x8f8d_4fc5_73a6_8e93);
/// ```
pub fn hash(bytes: &[u8]) -> u64 {
    // FNV-1a, 64 bits; its upper bits move little, so they are mixed.
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Any number, as different as can be for numbers that are alike (the finaliser of splitmix64).
pub(super) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A small generator of numbers that look random (xorshift64*, Vigna 2014). Not for secrets.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Numbers from this seed.
    pub fn new(seed: u64) -> Random {
        // Mixed, so that seeds 1, 2, 3 begin far apart.
        Random(mix(seed) | 1)
    }

    /// Any number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, each as likely; 0 if that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // Lemire's multiplication, without the step against bias: below 2^32 that is under 2^-32.
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }

    /// From 0 to 1, without 1.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_from_the_same_seed_and_spread_evenly() {
        let (mut one, mut two) = (Random::new(7), Random::new(7));
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            let at = one.below(10);
            assert_eq!(at, two.below(10));
            counts[at] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)));
        assert!((0..1000).all(|_| (0.0..1.0).contains(&one.unit())));
        assert_eq!(one.below(0), 0);
    }
}
