//! Statistics of a picture that lies in pieces: values of a piece in, per-channel count, mean and M2 out; merged
//! pieces in, the factors of a group normalisation out.
//!
//! A piece is summed in two passes in f64 (mean first, then squared distances from it), so nothing cancels. Pieces
//! merge by the formula of Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
//! variances" (1979), which holds the spread between the pieces too: the result is that of the whole picture however
//! it was cut, up to rounding in f64. The order of merging decides the last bits: callers merge in tile order.

use crate::{Rect, Tensor};

/// How many sums run side by side, so that the compiler can use vector registers. Fixed: it decides the last bits.
const LANES: usize = 8;

/// Most pixels that are counted together: f64 holds their number exactly.
const MAX_COUNT: u64 = 1 << 53;

/// Count, mean and sum of squared distances from the mean (M2), of each channel of a piece of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    count: u64,
    mean: Vec<f64>,
    m2: Vec<f64>,
}

/// A group normalisation's own numbers: `y = (x - mean) / sqrt(variance + epsilon) * weight + bias`, mean and
/// (biased) variance over all pixels of the channels of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupNorm {
    groups: usize,
    epsilon: f64,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// A normalisation whose statistics are known: `y = x * scale + shift`, one number each for a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Affine {
    /// Factors.
    pub scale: Vec<f32>,
    /// What is added.
    pub shift: Vec<f32>,
}

/// Why numbers are no statistics, or statistics do not go together.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not a picture, or the rectangle leaves it.
    #[error("statistics of {within:?} are asked of a tensor of shape {shape:?}, which does not hold it")]
    Outside {
        /// The rectangle.
        within: Rect,
        /// The tensor's shape.
        shape: Vec<usize>,
    },
    /// Lists of different lengths, or without any.
    #[error("{what} for {found} channels, {needed} are needed")]
    Channels {
        /// Of what there are too many or too few.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        needed: usize,
    },
    /// More pixels than any picture has.
    #[error("statistics of {count} pixels, the limit is {MAX_COUNT}")]
    Count {
        /// Pixels.
        count: u64,
    },
    /// The channels cannot be divided so.
    #[error("{channels} channels cannot be divided into {groups} groups")]
    Groups {
        /// Channels.
        channels: usize,
        /// Groups.
        groups: usize,
    },
    /// A mean or a variance that no picture has.
    #[error("statistics of channel {channel} are impossible: count {count}, mean {mean}, M2 {m2}")]
    Impossible {
        /// The first such channel, from 0.
        channel: usize,
        /// Pixels.
        count: u64,
        /// The mean.
        mean: f64,
        /// The sum of squared distances from it.
        m2: f64,
    },
}

// === impl Moments ===

impl Moments {
    /// Statistics that were counted elsewhere, one mean and one M2 for each channel.
    ///
    /// # Errors
    /// The lists differ in length or are empty; a value is NaN, infinite or (M2) negative; no picture has so many pixels.
    pub fn new(count: u64, mean: Vec<f64>, m2: Vec<f64>) -> Result<Self, Error> {
        if mean.is_empty() || mean.len() != m2.len() {
            return Err(Error::Channels { what: "M2", found: m2.len(), needed: mean.len().max(1) });
        }
        let possible = |mean: f64, m2: f64| {
            let counted = 0 < count || (mean == 0.0 && m2 == 0.0);
            mean.is_finite() && m2.is_finite() && 0.0 <= m2 && counted && count <= MAX_COUNT
        };
        match mean.iter().zip(&m2).position(|(&mean, &m2)| !possible(mean, m2)) {
            Some(channel) => Err(Error::Impossible { channel, count, mean: mean[channel], m2: m2[channel] }),
            None => Ok(Self { count, mean, m2 }),
        }
    }

    /// Statistics of no pixels: what merging starts from.
    #[must_use]
    pub fn empty(channels: usize) -> Self {
        Self { count: 0, mean: vec![0.0; channels], m2: vec![0.0; channels] }
    }

    /// Statistics of the pixels `within` a picture `[1, c, h, w]`, the rectangle counted from the tensor's own corner.
    ///
    /// # Errors
    /// The tensor is no single picture or does not hold the rectangle; a value is NaN or infinite.
    pub fn of(picture: &Tensor, within: Rect) -> Result<Self, Error> {
        let outside = || Error::Outside { within, shape: picture.shape().to_vec() };
        let edges = [within.x0(), within.x1(), within.y0(), within.y1()].map(usize::try_from);
        let (Some([1, _, height, width]), [Ok(x0), Ok(x1), Ok(y0), Ok(y1)]) = (picture.nchw(), edges) else {
            return Err(outside());
        };
        if width < x1 || height < y1 {
            return Err(outside());
        }
        let (mut means, mut m2s) = (Vec::new(), Vec::new());
        #[expect(clippy::cast_precision_loss, reason = "a picture has fewer than 2^53 pixels")]
        let pixels = within.area() as f64;
        for plane in picture.data().chunks_exact(height * width) {
            let rows = || plane.chunks_exact(width).take(y1).skip(y0).map(|row| &row[x0..x1]);
            let mean = rows().map(|row| sum(row, |value| value)).sum::<f64>() / pixels;
            let m2 = rows().map(|row| sum(row, |value| (value - mean) * (value - mean))).sum();
            means.push(mean);
            m2s.push(m2);
        }
        Self::new(within.area(), means, m2s)
    }

    /// Takes in the statistics of another piece of the same picture, which shares no pixel with this one.
    ///
    /// # Errors
    /// It has another number of channels, or the two count more pixels than any picture has.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        let (found, needed) = (other.mean.len(), self.mean.len());
        if found != needed {
            return Err(Error::Channels { what: "statistics", found, needed });
        }
        #[expect(clippy::cast_precision_loss, reason = "a picture has fewer than 2^53 pixels")]
        let (ours, theirs) = (self.count as f64, other.count as f64);
        if other.count == 0 {
            return Ok(());
        }
        let count = self.count + other.count;
        if MAX_COUNT < count {
            return Err(Error::Count { count });
        }
        let share = theirs / (ours + theirs);
        for channel in 0..needed {
            let distance = other.mean[channel] - self.mean[channel];
            self.mean[channel] += distance * share;
            self.m2[channel] += other.m2[channel] + distance * distance * ours * share;
        }
        self.count = count;
        Ok(())
    }

    /// The same statistics by groups of neighbouring channels, whose pixels are counted together.
    ///
    /// # Errors
    /// The channels cannot be divided into so many groups, or count more pixels together than can be counted.
    pub fn grouped(&self, groups: usize) -> Result<Self, Error> {
        let channels = self.mean.len();
        if groups == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::Groups { channels, groups });
        }
        let size = channels / groups;
        let count = self.count.saturating_mul(size as u64);
        if MAX_COUNT < count {
            return Err(Error::Count { count });
        }
        let mut grouped = Self { count, ..Self::empty(0) };
        for (means, m2s) in self.mean.chunks_exact(size).zip(self.m2.chunks_exact(size)) {
            let (mean, m2) = pooled(self.count, means, m2s);
            grouped.mean.push(mean);
            grouped.m2.push(m2);
        }
        Ok(grouped)
    }

    /// Bytes of its numbers.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        size_of::<u64>() + size_of_val(self.mean.as_slice()) + size_of_val(self.m2.as_slice())
    }

    /// Pixels counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean of each channel; 0 where no pixel was counted.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The sum of squared distances from the mean, of each channel.
    #[must_use]
    pub fn m2(&self) -> &[f64] {
        &self.m2
    }
}

// === impl GroupNorm ===

impl GroupNorm {
    /// A normalisation of `weight.len()` channels in groups of neighbours.
    ///
    /// # Errors
    /// Weight and bias differ in length or are empty, or the channels cannot be divided into so many groups.
    pub fn new(groups: usize, epsilon: f64, weight: Vec<f32>, bias: Vec<f32>) -> Result<Self, Error> {
        let channels = weight.len();
        if bias.len() != channels {
            return Err(Error::Channels { what: "a bias", found: bias.len(), needed: channels });
        }
        if channels == 0 || groups == 0 || !channels.is_multiple_of(groups) {
            return Err(Error::Groups { channels, groups });
        }
        Ok(Self { groups, epsilon, weight, bias })
    }

    /// How many channels it normalises.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.weight.len()
    }

    /// How many groups they form.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// What is added to the variance.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.epsilon
    }

    /// The factor of each channel.
    #[must_use]
    pub fn weight(&self) -> &[f32] {
        &self.weight
    }

    /// What is added to each channel.
    #[must_use]
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// The normalisation of a picture with these statistics, by channel or by group, computed in f64 and rounded once.
    ///
    /// `shift` is that of the *rounded* factor, so that the mean itself is mapped as exactly as f32 allows.
    ///
    /// # Errors
    /// The statistics are those of another number of channels, or of no pixel.
    #[expect(clippy::cast_possible_truncation, reason = "the network computes in f32")]
    pub fn affine(&self, moments: &Moments) -> Result<Affine, Error> {
        let (found, needed) = (moments.mean.len(), self.channels());
        let by_group;
        let moments = if found == self.groups {
            moments
        } else if found == needed {
            by_group = moments.grouped(self.groups)?;
            &by_group
        } else {
            return Err(Error::Channels { what: "statistics", found, needed });
        };
        if moments.count == 0 {
            return Err(Error::Impossible { channel: 0, count: 0, mean: 0.0, m2: 0.0 });
        }
        #[expect(clippy::cast_precision_loss, reason = "a picture has fewer than 2^53 pixels")]
        let count = moments.count as f64;
        let per_group = needed / self.groups;
        let (mut scale, mut shift) = (Vec::with_capacity(needed), Vec::with_capacity(needed));
        for channel in 0..needed {
            let group = channel / per_group;
            let inverse = 1.0 / (moments.m2[group] / count + self.epsilon).sqrt();
            let factor = (inverse * f64::from(self.weight[channel])) as f32;
            scale.push(factor);
            shift.push((f64::from(self.bias[channel]) - moments.mean[group] * f64::from(factor)) as f32);
        }
        Ok(Affine { scale, shift })
    }
}

/// Mean and M2 over channels of `count` pixels each: Chan's formula for parts of one size.
#[expect(
    clippy::cast_precision_loss,
    reason = "a picture has fewer than 2^53 pixels, a group a few hundred channels"
)]
fn pooled(count: u64, means: &[f64], m2s: &[f64]) -> (f64, f64) {
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    let within: f64 = m2s.iter().sum();
    let between: f64 = means.iter().map(|channel| (channel - mean) * (channel - mean)).sum();
    (mean, within + count as f64 * between)
}

/// The sum of a function over a row, in f64, in a fixed order.
fn sum(row: &[f32], of: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += of(value.into());
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane += of(value.into());
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests;
