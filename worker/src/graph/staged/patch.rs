//! A part of a picture with its place: cut out of larger ones, pasted into others.

use std::borrow::Cow;

use tessera_proto::{Rect, Tensor};

/// A tensor `[1, c, h, w]` and where it lies on its plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    place: Rect,
    tensor: Tensor,
}

// === impl Patch ===

impl Patch {
    /// A tensor at a place; `None` when it is no picture of the place's size.
    #[must_use]
    pub fn new(place: Rect, tensor: Tensor) -> Option<Self> {
        let [_, height, width] = dims(&tensor)?;
        (height == rows(place) && width == columns(place)).then_some(Self { place, tensor })
    }

    /// Zeros at a place; `None` when it is too large to address or has no channel.
    #[must_use]
    pub fn blank(place: Rect, channels: usize) -> Option<Self> {
        let tensor = Tensor::zeros([1, channels, rows(place), columns(place)]).ok()?;
        Some(Self { place, tensor })
    }

    /// Where it lies.
    #[must_use]
    pub fn place(&self) -> Rect {
        self.place
    }

    /// Its values.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Its values, taken out.
    #[must_use]
    pub fn into_tensor(self) -> Tensor {
        self.tensor
    }

    /// The part at `place`, not copied when that is all of it; `None` when it is not all inside.
    #[must_use]
    pub fn crop(&self, place: Rect) -> Option<Cow<'_, Self>> {
        if place == self.place {
            return Some(Cow::Borrowed(self));
        }
        if !self.place.contains(place) {
            return None;
        }
        let mut part = Self::blank(place, self.channels())?;
        part.take(self, place);
        Some(Cow::Owned(part))
    }

    /// Takes over what another patch of the same plane has of this place; nothing where they do not meet or have
    /// different channels.
    pub fn paste(&mut self, other: &Self) {
        if let Some(common) = self.place.intersection(other.place)
            && self.channels() == other.channels()
        {
            self.take(other, common);
        }
    }

    fn channels(&self) -> usize {
        self.tensor.shape()[1]
    }

    /// Copies `common`, which lies in both, row by row.
    fn take(&mut self, other: &Self, common: Rect) {
        let (width, height) = (columns(common), rows(common));
        let (from, to) = (other.place, self.place);
        for channel in 0..self.channels() {
            for row in 0..height {
                let start = |place: Rect| {
                    let down = index(common.y0() - place.y0()) + row;
                    (channel * rows(place) + down) * columns(place) + index(common.x0() - place.x0())
                };
                let source = &other.tensor.data()[start(from)..start(from) + width];
                self.tensor.data_mut()[start(to)..start(to) + width].copy_from_slice(source);
            }
        }
    }
}

/// Channels, rows and columns of a single picture.
fn dims(tensor: &Tensor) -> Option<[usize; 3]> {
    match tensor.nchw()? {
        [1, channels, height, width] => Some([channels, height, width]),
        _ => None,
    }
}

fn rows(place: Rect) -> usize {
    index(place.height())
}

fn columns(place: Rect) -> usize {
    index(place.width())
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("pictures have fewer pixels than memory has addresses")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rect(x0: u32, y0: u32, x1: u32, y1: u32) -> Rect {
        Rect::new(x0, y0, x1, y1).unwrap()
    }

    fn counted(place: Rect) -> Patch {
        let mut patch = Patch::blank(place, 2).unwrap();
        let mut next = 0.0;
        for value in patch.tensor.data_mut() {
            *value = next;
            next += 1.0;
        }
        patch
    }

    #[test]
    fn a_crop_is_what_lies_there() {
        let patch = counted(rect(2, 1, 6, 4));
        let part = patch.crop(rect(3, 2, 5, 4)).unwrap();
        assert_eq!(part.tensor().data(), [5.0, 6.0, 9.0, 10.0, 17.0, 18.0, 21.0, 22.0]);
        assert_eq!(patch.crop(rect(3, 2, 7, 4)), None);
        assert!(matches!(patch.crop(patch.place()), Some(Cow::Borrowed(_))));
    }

    #[test]
    fn pasted_parts_make_the_whole() {
        let whole = counted(rect(2, 1, 6, 4));
        let mut again = Patch::blank(whole.place(), 2).unwrap();
        for part in [rect(2, 1, 4, 4), rect(3, 1, 6, 2), rect(4, 2, 6, 4)] {
            again.paste(&whole.crop(part).unwrap());
        }
        assert_eq!(again, whole);
        again.paste(&counted(rect(9, 9, 11, 11)));
        assert_eq!(again, whole, "what lies elsewhere changes nothing");
    }

    #[test]
    fn size_and_place_must_agree() {
        assert!(Patch::new(rect(0, 0, 3, 2), Tensor::zeros([1, 4, 2, 3]).unwrap()).is_some());
        assert!(Patch::new(rect(0, 0, 2, 3), Tensor::zeros([1, 4, 2, 3]).unwrap()).is_none());
        assert!(Patch::new(rect(0, 0, 3, 2), Tensor::zeros([2, 4, 2, 3]).unwrap()).is_none());
    }
}
