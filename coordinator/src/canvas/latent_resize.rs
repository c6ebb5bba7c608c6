//! Enlarging latents: `[c, h, w]` planes, a filter and a size in; resized planes out, as torch's `F.interpolate`
//! computes them with `align_corners=False` and a target size.
//!
//! All filters are separable: each axis becomes a table of weighted source pixels ([`Taps`]), applied to the columns
//! and then to the rows. Coordinates are computed in f32 with torch's own order of operations, because on long axes
//! the f32 rounding of a coordinate is larger than the 1e-5 to which we want to agree.

use tessera_proto::job::UpscaleFilter;

use super::planes::Planes;

/// Most values of a result: 4 channels of 32768×32768 latent px.
const MAX_VALUES: usize = 1 << 32;

/// How values between pixels are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LatentFilter {
    /// torch's `nearest`: pixel `floor(i · in/out)`.
    Nearest,
    /// torch's `nearest-exact`: pixel `floor((i + ½) · in/out)`.
    NearestExact,
    /// Linear between the two neighbours.
    Bilinear,
    /// As [`LatentFilter::Bilinear`], the filter widened to the output pixel where the axis shrinks.
    BilinearAntialiased,
    /// Cubic convolution (Keys 1981) with A = -0.75 over four neighbours, as torch has it.
    Bicubic,
    /// Cubic convolution with A = -0.5, widened where the axis shrinks, renormalised at the border; A differs from
    /// [`LatentFilter::Bicubic`] in torch, so this one differs when enlarging too.
    BicubicAntialiased,
}

/// Why planes cannot be resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The target has a side of 0, or more pixels than can be addressed.
    #[error("cannot resize a latent of {}x{} px to {width}x{height} px", .from.0, .from.1)]
    Size {
        /// Width and height received.
        from: (usize, usize),
        /// Target width.
        width: usize,
        /// Target height.
        height: usize,
    },
}

/// For each output pixel of an axis: the first source pixel and the weights from there on.
struct Taps {
    /// `(first source pixel, first weight, number of weights)` for each output pixel.
    spans: Vec<(usize, usize, usize)>,
    weights: Vec<f32>,
}

/// A kernel that can be widened: its weight at a distance in px, 0 from `radius` on.
#[derive(Clone, Copy)]
struct Kernel {
    radius: f32,
    weight: fn(f32) -> f32,
}

/// The triangle of linear interpolation.
const TRIANGLE: Kernel = Kernel { radius: 1.0, weight: |distance| (1.0 - distance.abs()).max(0.0) };
const CUBIC: Kernel = Kernel { radius: 2.0, weight: |distance| cubic(distance, -0.5) };

// === impl LatentFilter ===

impl LatentFilter {
    /// The filter of a latent upscaler; `None` for one that works on the picture.
    #[must_use]
    pub const fn of(upscaler: UpscaleFilter) -> Option<Self> {
        match upscaler {
            UpscaleFilter::Lanczos => None,
            UpscaleFilter::Latent => Some(Self::Bilinear),
            UpscaleFilter::LatentAntialiased => Some(Self::BilinearAntialiased),
            UpscaleFilter::LatentBicubic => Some(Self::Bicubic),
            UpscaleFilter::LatentBicubicAntialiased => Some(Self::BicubicAntialiased),
            UpscaleFilter::LatentNearest => Some(Self::Nearest),
            UpscaleFilter::LatentNearestExact => Some(Self::NearestExact),
        }
    }
}

/// Resizes every plane to `width` × `height` px; the result is row-major `[c, height, width]`.
///
/// # Errors
/// A target side is 0, or the result would be too large to address.
pub fn latent_resize(
    source: Planes<'_>,
    filter: LatentFilter,
    width: usize,
    height: usize,
) -> Result<Vec<f32>, Error> {
    let [channels, from_height, from_width] = source.shape();
    let refused = Error::Size { from: (from_width, from_height), width, height };
    let values =
        |rows: usize| channels.checked_mul(rows)?.checked_mul(width).filter(|&n| 0 < n && n <= MAX_VALUES);
    let (between, count) = values(from_height).zip(values(height)).ok_or(refused)?;

    let (columns, rows) = (Taps::new(filter, from_width, width), Taps::new(filter, from_height, height));
    let mut wide = vec![0.0; between];
    for (line, row) in source.data().chunks_exact(from_width).zip(wide.chunks_exact_mut(width)) {
        columns.apply_to_line(line, row);
    }
    let mut resized = vec![0.0; count];
    for (plane, target) in
        wide.chunks_exact(from_height * width).zip(resized.chunks_exact_mut(height * width))
    {
        rows.apply_to_rows(plane, target, width);
    }
    Ok(resized)
}

// === impl Taps ===

impl Taps {
    fn new(filter: LatentFilter, from: usize, to: usize) -> Self {
        let mut taps = Self { spans: Vec::with_capacity(to), weights: Vec::new() };
        let scale = to_f32(from) / to_f32(to);
        for i in 0..to {
            let middle = scale * (to_f32(i) + 0.5);
            // `middle - 0.5` as torch's CPU kernels compute it: rounded once, by a fused multiply-add.
            let beside = scale.mul_add(to_f32(i) + 0.5, -0.5);
            match filter {
                LatentFilter::Nearest => taps.push(from, floor(to_f32(i) * scale), &[1.0]),
                LatentFilter::NearestExact => taps.push(from, floor(middle), &[1.0]),
                LatentFilter::Bilinear => {
                    let place = beside.max(0.0);
                    let right = place - place.floor();
                    taps.push(from, floor(place), &[1.0 - right, right]);
                }
                LatentFilter::Bicubic => {
                    let t = beside - beside.floor();
                    let weights = [t + 1.0, t, 1.0 - t, 2.0 - t].map(|distance| cubic(distance, -0.75));
                    taps.push(from, floor(beside) - 1, &weights);
                }
                LatentFilter::BilinearAntialiased => taps.push_widened(from, middle, scale, TRIANGLE),
                LatentFilter::BicubicAntialiased => taps.push_widened(from, middle, scale, CUBIC),
            }
        }
        taps
    }

    /// Adds an output pixel made of the source pixels from `first` on; those outside count for the border pixel.
    fn push(&mut self, length: usize, first: isize, weights: &[f32]) {
        let clamped = |index: isize| index.max(0).unsigned_abs().min(length - 1);
        let after = first + isize::try_from(weights.len()).expect("a filter has few weights");
        let (low, high) = (clamped(first), clamped(after - 1));
        let begin = self.weights.len();
        self.weights.resize(begin + high - low + 1, 0.0);
        for (index, weight) in (first..after).zip(weights) {
            self.weights[begin + clamped(index) - low] += weight;
        }
        self.spans.push((low, begin, high - low + 1));
    }

    /// Adds an output pixel around `middle` whose kernel is stretched where the axis shrinks, and normalised over the
    /// source pixels that exist.
    fn push_widened(&mut self, length: usize, middle: f32, scale: f32, kernel: Kernel) {
        let stretch = scale.max(1.0);
        let support = kernel.radius * stretch;
        let low = floor(middle - support + 0.5).max(0).unsigned_abs();
        let high = floor(middle + support + 0.5).max(0).unsigned_abs().min(length);
        let weight = |index: usize| (kernel.weight)((to_f32(index) - middle + 0.5) * (1.0 / stretch));
        let begin = self.weights.len();
        self.weights.extend((low..high).map(weight));
        let total: f32 = self.weights[begin..].iter().sum();
        self.weights[begin..].iter_mut().for_each(|weight| *weight /= total);
        self.spans.push((low, begin, high - low));
    }

    /// Output pixels with their first source pixel and weights.
    fn spans(&self) -> impl Iterator<Item = (usize, &[f32])> {
        self.spans.iter().map(|&(low, begin, count)| (low, &self.weights[begin..][..count]))
    }

    /// Resizes one line.
    fn apply_to_line(&self, line: &[f32], out: &mut [f32]) {
        for (value, (low, weights)) in out.iter_mut().zip(self.spans()) {
            *value = weights.iter().zip(&line[low..]).map(|(weight, value)| weight * value).sum();
        }
    }

    /// Resizes a plane along its rows, each a whole line of `width` values at a time.
    fn apply_to_rows(&self, plane: &[f32], out: &mut [f32], width: usize) {
        for (row, (low, weights)) in out.chunks_exact_mut(width).zip(self.spans()) {
            for (weight, line) in weights.iter().zip(plane[low * width..].chunks_exact(width)) {
                for (sum, value) in row.iter_mut().zip(line) {
                    *sum += weight * value;
                }
            }
        }
    }
}

/// Keys' cubic convolution kernel.
fn cubic(distance: f32, a: f32) -> f32 {
    let x = distance.abs();
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a coordinate on an axis; one beyond it saturates and is clamped"
)]
fn floor(coordinate: f32) -> isize {
    coordinate.floor() as isize
}

/// A length or an index; exact below 2^24, and torch rounds the same way above.
const fn to_f32(length: usize) -> f32 {
    length as f32
}

#[cfg(test)]
mod tests;
