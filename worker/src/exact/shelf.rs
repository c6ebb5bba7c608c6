//! Where the planes of waiting tiles lie: planes in, a ticket out, and for the ticket the same planes again. In memory
//! up to a budget, in a file beyond it.
//!
//! Tiles advance in rounds, so the tile that has just been run is the one that is needed last. What does not fit goes
//! to the file and what is in memory stays there: in a round that comes back to all tiles in the same order, no other
//! choice reads less.
//!
//! The file has no name from the moment it is made: nobody else can open it, and the system takes it back however the
//! process ends.

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use tessera_proto::{Rect, Tensor};

use super::extents::{Extent, Extents};
use crate::graph::staged::Patch;

/// Default of [`Spill::above`].
pub const SPILL_ABOVE: u64 = 1 << 30;

/// How much waiting tiles may keep in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spill {
    /// Bytes of planes that stay in memory; what goes beyond is written to a temporary file.
    pub above: u64,
    /// The folder of that file; `None` = the system's for temporary files.
    pub folder: Option<PathBuf>,
}

/// Planes that were put on a shelf. It must come back to be taken or discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Why planes cannot be kept or read again.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "{} MiB of waiting tiles cannot be written to a temporary file in {}: {source}; make room there, name another \
         folder with --spill-folder, or let more of them stay in memory with --spill-above",
        bytes >> 20,
        folder.display()
    )]
    Write {
        /// Size of the tile's planes.
        bytes: u64,
        folder: PathBuf,
        source: io::Error,
    },
    #[error("the temporary file of waiting tiles in {} cannot be read: {source}", folder.display())]
    Read { folder: PathBuf, source: io::Error },
    #[error("a tile is asked for that was not kept")]
    Absent,
}

/// The planes of one tile.
type Planes = BTreeMap<usize, Patch>;

/// Planes of many tiles.
#[derive(Debug)]
pub(super) struct Shelf {
    above: u64,
    folder: PathBuf,
    slots: BTreeMap<Ticket, Slot>,
    next: u64,
    /// Bytes in memory.
    held: u64,
    /// Made when it is first needed.
    file: Option<File>,
    extents: Extents,
}

#[derive(Debug)]
enum Slot {
    Memory { planes: Planes, bytes: u64 },
    Disk { extent: Extent, planes: Vec<Described> },
}

/// What a plane in the file is: its values follow those of the one before.
#[derive(Debug)]
struct Described {
    plane: usize,
    place: Rect,
    shape: Vec<usize>,
}

// === impl Spill ===

impl Default for Spill {
    fn default() -> Self {
        Self { above: SPILL_ABOVE, folder: None }
    }
}

// === impl Shelf ===

impl Shelf {
    pub(super) fn new(spill: Spill) -> Self {
        Self {
            above: spill.above,
            folder: spill.folder.unwrap_or_else(env::temp_dir),
            slots: BTreeMap::new(),
            next: 0,
            held: 0,
            file: None,
            extents: Extents::default(),
        }
    }

    /// Keeps planes until they are taken or discarded.
    ///
    /// # Errors
    /// They do not fit into memory, and the file cannot be written.
    pub(super) fn put(&mut self, planes: Planes) -> Result<Ticket, Error> {
        let bytes = planes.values().map(|patch| patch.tensor().byte_len() as u64).sum::<u64>();
        let slot = if self.held + bytes <= self.above {
            self.held += bytes;
            Slot::Memory { planes, bytes }
        } else {
            let extent = self.extents.allocate(bytes);
            if let Err(source) = self.write(extent, &planes) {
                self.extents.release(extent);
                return Err(Error::Write { bytes, folder: self.folder.clone(), source });
            }
            let described = planes.iter().map(|(&plane, patch)| Described {
                plane,
                place: patch.place(),
                shape: patch.tensor().shape().to_vec(),
            });
            Slot::Disk { extent, planes: described.collect() }
        };
        let ticket = Ticket(self.next);
        self.next += 1;
        self.slots.insert(ticket, slot);
        Ok(ticket)
    }

    /// Planes that were put, which are on the shelf no more.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn take(&mut self, ticket: Ticket) -> Result<Planes, Error> {
        match self.slots.remove(&ticket).ok_or(Error::Absent)? {
            Slot::Memory { planes, bytes } => {
                self.held -= bytes;
                Ok(planes)
            }
            Slot::Disk { extent, planes } => {
                let read = self.read(extent, &planes);
                self.release(extent);
                read.map_err(|source| Error::Read { folder: self.folder.clone(), source })
            }
        }
    }

    /// Drops planes.
    pub(super) fn discard(&mut self, ticket: Ticket) {
        match self.slots.remove(&ticket) {
            Some(Slot::Memory { bytes, .. }) => self.held -= bytes,
            Some(Slot::Disk { extent, .. }) => self.release(extent),
            None => {}
        }
    }

    /// Gives a part of the file back; a file that holds nothing takes no room.
    fn release(&mut self, extent: Extent) {
        self.extents.release(extent);
        if self.extents.end() == 0 {
            self.file = None;
        }
    }

    fn write(&mut self, extent: Extent, planes: &Planes) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(&self.folder)?,
        };
        file.seek(SeekFrom::Start(extent.start))?;
        let written =
            planes.values().try_for_each(|patch| file.write_all(bytemuck::cast_slice(patch.tensor().data())));
        self.file = Some(file);
        written
    }

    fn read(&mut self, extent: Extent, planes: &[Described]) -> io::Result<Planes> {
        let file = self.file.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        file.seek(SeekFrom::Start(extent.start))?;
        let mut read = Planes::new();
        for Described { plane, place, shape } in planes {
            let mut tensor = Tensor::zeros(shape.clone()).map_err(io::Error::other)?;
            file.read_exact(bytemuck::cast_slice_mut(tensor.data_mut()))?;
            let patch =
                Patch::new(*place, tensor).ok_or_else(|| io::Error::other("a plane lost its shape"))?;
            read.insert(*plane, patch);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Planes of `4 * (2 * width)` bytes each, their values told by `seed`.
    fn planes(seed: u32, width: u32) -> Planes {
        let place = Rect::new(seed, 1, seed + width, 2).unwrap();
        let value = |index: u32| f32::from(u16::try_from((seed * 977 + index * 31) % 1009).unwrap()) / 7.0;
        let tensor = |plane: u32| {
            let values = (0..2 * width).map(|index| value(index + 5 * plane)).collect();
            Tensor::new([1, 2, 1, width as usize], values).unwrap()
        };
        [3, 7].into_iter().map(|plane| (plane as usize, Patch::new(place, tensor(plane)).unwrap())).collect()
    }

    fn shelf(above: u64) -> Shelf {
        Shelf::new(Spill { above, folder: None })
    }

    #[test]
    fn what_does_not_fit_is_in_a_file_without_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut shelf = Shelf::new(Spill { above: 160, folder: Some(folder.path().to_owned()) });
        let tickets: Vec<Ticket> = (0..3).map(|seed| shelf.put(planes(seed, 10)).unwrap()).collect();
        assert_eq!((shelf.held, shelf.extents.end()), (160, 320), "the one put first stays");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        for (seed, &ticket) in (0..).zip(&tickets) {
            assert_eq!(shelf.take(ticket).unwrap(), planes(seed, 10));
        }
        assert!(shelf.file.is_none() && shelf.held == 0, "nothing is left");
        assert!(matches!(shelf.take(tickets[0]), Err(Error::Absent)));
    }

    #[test]
    fn a_folder_that_takes_no_file_is_named() {
        let folder = tempfile::tempdir().unwrap().path().join("gone");
        let mut shelf = Shelf::new(Spill { above: 0, folder: Some(folder.clone()) });
        let text = shelf.put(planes(1, 10)).unwrap_err().to_string();
        assert!(text.contains(&folder.display().to_string()) && text.contains("--spill-folder"), "{text}");
        assert_eq!(shelf.extents.end(), 0, "the place is free again");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told() {
        let mut shelf = shelf(0);
        shelf.file = Some(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        let text = shelf.put(planes(1, 10)).unwrap_err().to_string();
        assert!(text.contains("No space left") && text.contains("make room there"), "{text}");
    }

    proptest! {
        #[test]
        fn every_ticket_gives_its_own_planes(
            above in 0_u64..3000,
            steps in proptest::collection::vec((1_u32..30, 0_u8..3, any::<prop::sample::Index>()), 1..60),
        ) {
            let mut shelf = shelf(above);
            let mut kept: Vec<(Ticket, u32, u32)> = Vec::new();
            for (seed, (width, step, which)) in (0..).zip(steps) {
                match step {
                    1 if !kept.is_empty() => {
                        let (ticket, seed, width) = kept.swap_remove(which.index(kept.len()));
                        prop_assert_eq!(shelf.take(ticket).unwrap(), planes(seed, width));
                    }
                    2 if !kept.is_empty() => shelf.discard(kept.swap_remove(which.index(kept.len())).0),
                    _ => kept.push((shelf.put(planes(seed, width)).unwrap(), seed, width)),
                }
                prop_assert!(shelf.held <= above);
            }
            kept.into_iter().for_each(|(ticket, ..)| shelf.discard(ticket));
            prop_assert!(shelf.held == 0 && shelf.file.is_none() && shelf.slots.is_empty());
        }
    }
}
