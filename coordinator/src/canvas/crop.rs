//! Cutting tiles out of a canvas and putting them back: rectangles and planes in, copied rows out.

use tessera_proto::Rect;

use super::planes::Planes;

/// Why a tile cannot be cut out or put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The rectangle does not lie on the canvas.
    #[error("rectangle {rect:?} does not lie on a canvas of {width}x{height} px")]
    Outside {
        /// The rectangle received.
        rect: Rect,
        /// Columns of the canvas.
        width: usize,
        /// Rows of the canvas.
        height: usize,
    },
    /// The tile's tensor is smaller than its rectangle.
    #[error("a tile tensor of {width}x{height} px is too small for rectangle {rect:?}")]
    Small {
        /// The rectangle received.
        rect: Rect,
        /// Columns of the tensor.
        width: usize,
        /// Rows of the tensor.
        height: usize,
    },
    /// A buffer has not the length that the shapes ask for.
    #[error("a buffer of {actual} values was given where {expected} are needed")]
    Length {
        /// Values needed.
        expected: usize,
        /// Values received.
        actual: usize,
    },
}

/// Copies `rect` out of a canvas into `out`, row-major `[c, padded height, padded width]`.
///
/// `padded` is `(width, height)` as [`super::Grid::padded`] gives it. What it has over `rect` is filled at the right
/// and the bottom: by reflection about the last column or row (which is not repeated), or by repeating that where
/// the rectangle is too short to be reflected.
///
/// # Errors
/// `rect` is not on the canvas, `padded` is smaller than `rect`, or `out` has another length.
pub fn crop(canvas: Planes<'_>, rect: Rect, padded: (u32, u32), out: &mut [f32]) -> Result<(), Error> {
    let [channels, height, width] = canvas.shape();
    let (x0, y0, w, h) = place(rect, width, height)?;
    let (padded_w, padded_h) = (padded.0 as usize, padded.1 as usize);
    if padded_w < w || padded_h < h {
        return Err(Error::Small { rect, width: padded_w, height: padded_h });
    }
    check_length(channels * padded_h * padded_w, out.len())?;
    for (channel, plane) in out.chunks_exact_mut(padded_h * padded_w).enumerate() {
        for (y, row) in plane.chunks_exact_mut(padded_w).enumerate() {
            let source = &canvas.row(channel, y0 + mirrored(y, h, padded_h))[x0..x0 + w];
            let (inside, surplus) = row.split_at_mut(w);
            inside.copy_from_slice(source);
            for (x, value) in (w..).zip(surplus) {
                *value = source[mirrored(x, w, padded_w)];
            }
        }
    }
    Ok(())
}

/// Copies a tile back to `rect` of a canvas `[c, h, w]` of the given shape, dropping the tile's padding.
///
/// # Errors
/// `rect` is not on the canvas, the tile is smaller than `rect`, or the channels or the canvas' length differ.
pub fn paste(tile: Planes<'_>, rect: Rect, canvas: &mut [f32], shape: [usize; 3]) -> Result<(), Error> {
    let [channels, height, width] = shape;
    let (x0, y0, w, h) = place(rect, width, height)?;
    let [tile_channels, tile_h, tile_w] = tile.shape();
    if tile_w < w || tile_h < h {
        return Err(Error::Small { rect, width: tile_w, height: tile_h });
    }
    check_length(channels * height * width, canvas.len())?;
    check_length(channels * tile_h * tile_w, tile_channels * tile_h * tile_w)?;
    for (channel, plane) in canvas.chunks_exact_mut(height * width).enumerate() {
        for (y, row) in plane.chunks_exact_mut(width).skip(y0).take(h).enumerate() {
            row[x0..x0 + w].copy_from_slice(&tile.row(channel, y)[..w]);
        }
    }
    Ok(())
}

/// Left, top, width and height of a rectangle that lies on a canvas.
fn place(rect: Rect, width: usize, height: usize) -> Result<(usize, usize, usize, usize), Error> {
    if width < rect.x1() as usize || height < rect.y1() as usize {
        return Err(Error::Outside { rect, width, height });
    }
    Ok((rect.x0() as usize, rect.y0() as usize, rect.width() as usize, rect.height() as usize))
}

/// Where pixel `at` of a line padded from `length` to `padded` comes from.
const fn mirrored(at: usize, length: usize, padded: usize) -> usize {
    if at < length {
        at
    } else if padded < 2 * length {
        2 * length - 2 - at
    } else {
        length - 1
    }
}

fn check_length(expected: usize, actual: usize) -> Result<(), Error> {
    if expected == actual { Ok(()) } else { Err(Error::Length { expected, actual }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(count: u16) -> Vec<f32> {
        (0..count).map(f32::from).collect()
    }

    #[test]
    fn a_crop_pasted_back_changes_nothing_and_pastes_nothing_else() {
        let data = ramp(2 * 5 * 7);
        let canvas = Planes::new([2, 5, 7], &data).unwrap();
        let rect = Rect::new(2, 1, 6, 4).unwrap();
        let mut tile = vec![f32::NAN; 2 * 4 * 6];
        crop(canvas, rect, (6, 4), &mut tile).unwrap();
        let mut target = vec![-1.0; data.len()];
        paste(Planes::new([2, 4, 6], &tile).unwrap(), rect, &mut target, [2, 5, 7]).unwrap();
        for (index, (&after, &before)) in target.iter().zip(&data).enumerate() {
            let (x, y) = (index % 7, index / 7 % 5);
            let inside = (2..6).contains(&x) && (1..4).contains(&y);
            assert_eq!(after.to_bits(), if inside { before } else { -1.0 }.to_bits(), "at {x}, {y}");
        }
    }

    #[test]
    fn padding_reflects_as_torch_does() {
        // torch: F.pad(torch.arange(6.).reshape(1, 1, 2, 3), (0, 2, 0, 1), mode="reflect")
        let data = ramp(6);
        let mut out = [0.0; 15];
        let whole = Rect::new(0, 0, 3, 2).unwrap();
        crop(Planes::new([1, 2, 3], &data).unwrap(), whole, (5, 3), &mut out).unwrap();
        assert_eq!(out, [0.0, 1.0, 2.0, 1.0, 0.0, 3.0, 4.0, 5.0, 4.0, 3.0, 0.0, 1.0, 2.0, 1.0, 0.0]);
    }

    #[test]
    fn what_is_too_short_to_reflect_is_repeated() {
        let data = ramp(3);
        let mut out = [0.0; 8];
        let rect = Rect::new(1, 0, 3, 1).unwrap();
        crop(Planes::new([1, 1, 3], &data).unwrap(), rect, (4, 2), &mut out).unwrap();
        assert_eq!(out, [1.0, 2.0, 2.0, 2.0, 1.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn misfits_are_refused() {
        let data = ramp(12);
        let canvas = Planes::new([1, 3, 4], &data).unwrap();
        let mut out = [0.0; 4];
        let text = |result: Result<(), Error>| result.unwrap_err().to_string();
        let over = Rect::new(3, 0, 5, 2).unwrap();
        assert_eq!(
            text(crop(canvas, over, (2, 2), &mut out)),
            "rectangle [3..5) x [0..2) does not lie on a canvas of 4x3 px"
        );
        let inside = Rect::new(0, 0, 3, 2).unwrap();
        assert_eq!(
            text(crop(canvas, inside, (2, 2), &mut out)),
            "a tile tensor of 2x2 px is too small for rectangle [0..3) x [0..2)"
        );
        assert_eq!(
            text(crop(canvas, inside, (3, 2), &mut out)),
            "a buffer of 4 values was given where 6 are needed"
        );
    }
}
