//! A picture as upscaling networks have it: values of 0..1 out, rounded pixels in.

use tessera_proto::Rect;

use super::{CHANNELS, Error, Picture, byte};
use crate::canvas::blend::Row;

impl Picture {
    /// The values for an upscaling network of the pixels in `rect`: row-major `[3, height, width]` in 0..1.
    ///
    /// # Errors
    /// `rect` does not lie on the picture.
    pub fn unit_planes(&self, rect: Rect) -> Result<Vec<f32>, Error> {
        self.values(rect, |byte| f32::from(byte) / 255.0)
    }

    /// Rounds and paints a row of one channel, values in 0..1.
    ///
    /// # Errors
    /// The row does not lie on the picture, or a value is NaN or infinite; nothing of the row is painted then.
    pub fn paint_unit(&mut self, row: Row, values: &[f32]) -> Result<(), Error> {
        self.paint_by(row, values, quantise_unit)
    }

    /// The same picture with sides rounded up to multiples of `multiple`: mirrored about its last column and row, as
    /// `torch.nn.functional.pad` does it in mode `reflect`; where it is too short for that, the last is repeated.
    ///
    /// # Errors
    /// It would be too large to address.
    pub fn filled_up(self, multiple: u32) -> Result<Self, Error> {
        let (width, height) = (self.width, self.height);
        let up = |side: u32| side.div_ceil(multiple).saturating_mul(multiple);
        if (up(width), up(height)) == (width, height) {
            return Ok(self);
        }
        let mut filled = Self::black(up(width), up(height))?;
        let mirrored = |at: u32, side: u32| match (2 * (side - 1)).checked_sub(at) {
            _ if at < side => at,
            Some(mirrored) if 1 < side => mirrored,
            _ => side - 1,
        };
        let row_len = filled.width as usize * CHANNELS;
        for (y, row) in (0..).zip(filled.rgb.chunks_exact_mut(row_len)) {
            let source = mirrored(y, height) as usize * width as usize;
            for (x, pixel) in (0..).zip(row.chunks_exact_mut(CHANNELS)) {
                let at = (source + mirrored(x, width) as usize) * CHANNELS;
                pixel.copy_from_slice(&self.rgb[at..at + CHANNELS]);
            }
        }
        Ok(filled)
    }
}

/// The byte of a finite value in 0..1: `value * 255`, rounded half up and clamped.
fn quantise_unit(value: f32) -> u8 {
    byte(value * 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_way_to_the_network_and_back() {
        let picture = Picture::new(16, 16, (0..=255).flat_map(|byte| [byte; 3]).collect()).unwrap();
        let values = picture.unit_planes(Rect::new(0, 0, 16, 16).unwrap()).unwrap();
        assert_eq!((values[0], values[255], values[51]), (0.0, 1.0, 0.2));
        let mut painted = Picture::black(16, 16).unwrap();
        for (index, row) in values.chunks_exact(16).enumerate() {
            let y = u32::try_from(index % 16).unwrap();
            painted.paint_unit(Row { channel: index / 16, y, x0: 0 }, row).unwrap();
        }
        assert_eq!(painted, picture);
        assert!(painted.paint_unit(Row { channel: 0, y: 0, x0: 0 }, &[f32::NAN]).is_err());
    }

    #[test]
    fn values_are_rounded_and_clamped() {
        // numpy: np.clip(np.floor(v * 255 + 0.5), 0, 255)
        for (value, byte) in
            [(0.5, 128), (0.4999, 127), (-3.0, 0), (1.2, 255), (0.996, 254), (0.0019, 0), (0.002, 1)]
        {
            assert_eq!(quantise_unit(value), byte, "{value}");
        }
    }

    #[test]
    fn sides_are_filled_up_by_reflection() {
        // torch: F.pad(torch.arange(6.).reshape(1, 1, 2, 3), (0, 1, 0, 0), mode="reflect")
        let bytes = |values: &[u8]| values.iter().flat_map(|&value| [value; 3]).collect::<Vec<_>>();
        let picture = Picture::new(3, 2, bytes(&[0, 1, 2, 3, 4, 5])).unwrap();
        assert_eq!(picture.clone().filled_up(1).unwrap(), picture);
        assert_eq!(picture.clone().filled_up(2).unwrap().rgb(), bytes(&[0, 1, 2, 1, 3, 4, 5, 4]));
        let one = Picture::new(1, 1, bytes(&[7])).unwrap();
        assert_eq!(one.filled_up(4).unwrap().rgb(), bytes(&[7; 16]));
    }
}
