//! Tasks: a message in, one network run out, and back.

use super::{Error, choice::FromNumber, required};
use crate::{Guidance, Moments, Part, Rect, Segment, Source, Work, job::Size, wire};

impl From<Work> for wire::Work {
    fn from(work: Work) -> Self {
        use wire::work::Kind;
        let kind = match work {
            Work::Embed { texts } => {
                Kind::Embed(wire::Embed { texts: texts.into_iter().map(text_to_wire).collect() })
            }
            Work::Denoise { tiles, input_scale, timestep, guidance } => Kind::Denoise(wire::Denoise {
                tiles: Some((&tiles).into()),
                input_scale,
                timestep,
                guidance: Some(guidance.into()),
            }),
            Work::Encode { image } => Kind::Encode(wire::Encode { image: Some((&image).into()) }),
            Work::Decode { latent } => Kind::Decode(wire::Decode { latent: Some((&latent).into()) }),
            Work::Upscale { network, image, keep } => Kind::Upscale(wire::Upscale {
                network,
                image: Some((&image).into()),
                keep: Some(keep.into()),
            }),
            Work::Advance { part, canvas, sources, core, known } => Kind::Advance(wire::Advance {
                part: wire::VaePart::from(part).into(),
                width: canvas.width,
                height: canvas.height,
                sources: sources.into_iter().map(Into::into).collect(),
                core: Some(core.into()),
                known: known.into_iter().map(Into::into).collect(),
            }),
            Work::Measure { part, input } => Kind::Measure(wire::Measure {
                part: wire::VaePart::from(part).into(),
                input: Some((&input).into()),
            }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<wire::Work> for Work {
    type Error = Error;

    fn try_from(message: wire::Work) -> Result<Self, Error> {
        use wire::work::Kind;
        let wire::Work { kind } = message;
        Ok(match required("work.kind", kind)? {
            Kind::Embed(wire::Embed { texts }) => {
                Self::Embed { texts: texts.into_iter().map(text_from_wire).collect::<Result<_, _>>()? }
            }
            Kind::Denoise(wire::Denoise { tiles, input_scale, timestep, guidance }) => {
                if !input_scale.is_finite() || !timestep.is_finite() {
                    return Err(Error::Range { field: "denoise.timestep" });
                }
                let tiles = required("denoise.tiles", tiles)?.try_into()?;
                let guidance = required("denoise.guidance", guidance)?.try_into()?;
                Self::Denoise { tiles, input_scale, timestep, guidance }
            }
            Kind::Encode(wire::Encode { image }) => {
                Self::Encode { image: required("encode.image", image)?.try_into()? }
            }
            Kind::Decode(wire::Decode { latent }) => {
                Self::Decode { latent: required("decode.latent", latent)?.try_into()? }
            }
            Kind::Upscale(wire::Upscale { network, image, keep }) => {
                let image = required("upscale.image", image)?.try_into()?;
                let keep = required("upscale.keep", keep)?.try_into()?;
                Self::Upscale { network, image, keep }
            }
            Kind::Advance(wire::Advance { core, known, part, width, height, sources }) => Self::Advance {
                part: Part::from_number(part)?,
                canvas: Size { width, height },
                sources: sources.into_iter().map(Source::try_from).collect::<Result<_, _>>()?,
                core: required("advance.core", core)?.try_into()?,
                known: known.into_iter().map(Moments::try_from).collect::<Result<_, _>>()?,
            },
            Kind::Measure(wire::Measure { part, input }) => Self::Measure {
                part: Part::from_number(part)?,
                input: required("measure.input", input)?.try_into()?,
            },
        })
    }
}

impl From<Guidance> for wire::Guidance {
    fn from(guidance: Guidance) -> Self {
        let conds = guidance.conds.into_iter();
        Self {
            cfg_scale: f64::from(guidance.cfg_scale),
            uncond: Some(guidance.uncond.into()),
            conds: conds
                .map(|(weight, digest)| wire::WeightedDigest { weight, digest: Some(digest.into()) })
                .collect(),
        }
    }
}

impl TryFrom<wire::Guidance> for Guidance {
    type Error = Error;

    fn try_from(message: wire::Guidance) -> Result<Self, Error> {
        let wire::Guidance { cfg_scale, uncond, conds } = message;
        if conds.is_empty() {
            return Err(Error::Missing { field: "guidance.conds" });
        }
        let cond = |message| {
            let wire::WeightedDigest { weight, digest } = message;
            Ok::<_, Error>((weight, required("guidance.conds.digest", digest)?.try_into()?))
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "guidance is applied in f32, as the networks' output is"
        )]
        let cfg_scale = cfg_scale as f32;
        Ok(Self {
            cfg_scale,
            uncond: required("guidance.uncond", uncond)?.try_into()?,
            conds: conds.into_iter().map(cond).collect::<Result<_, _>>()?,
        })
    }
}

impl From<Moments> for wire::Moments {
    fn from(moments: Moments) -> Self {
        Self { count: moments.count(), mean: moments.mean().to_vec(), m2: moments.m2().to_vec() }
    }
}

impl TryFrom<wire::Moments> for Moments {
    type Error = Error;

    fn try_from(message: wire::Moments) -> Result<Self, Error> {
        let wire::Moments { count, mean, m2 } = message;
        Self::new(count, mean, m2).map_err(|_| Error::Range { field: "moments" })
    }
}

impl From<Rect> for wire::Region {
    fn from(rect: Rect) -> Self {
        Self { x0: rect.x0(), y0: rect.y0(), x1: rect.x1(), y1: rect.y1() }
    }
}

impl TryFrom<wire::Region> for Rect {
    type Error = Error;

    fn try_from(message: wire::Region) -> Result<Self, Error> {
        let wire::Region { x0, y0, x1, y1 } = message;
        Self::new(x0, y0, x1, y1).map_err(|_| Error::Range { field: "region" })
    }
}

impl From<Source> for wire::Source {
    fn from(Source { place, digest }: Source) -> Self {
        Self { place: Some(place.into()), digest: Some(digest.into()) }
    }
}

impl TryFrom<wire::Source> for Source {
    type Error = Error;

    fn try_from(message: wire::Source) -> Result<Self, Error> {
        let wire::Source { place, digest } = message;
        Ok(Self {
            place: required("source.place", place)?.try_into()?,
            digest: required("source.digest", digest)?.try_into()?,
        })
    }
}

fn text_to_wire(segments: Vec<Segment>) -> wire::EmbedText {
    use wire::text_segment::Segment as Wire;
    let segment = |segment| match segment {
        Segment::Text { text, weight } => Wire::Text(wire::WeightedText { text, weight }),
        Segment::Break => Wire::Break(wire::Break {}),
    };
    let wrap = |segment| wire::TextSegment { segment: Some(segment) };
    wire::EmbedText { segments: segments.into_iter().map(segment).map(wrap).collect() }
}

fn text_from_wire(message: wire::EmbedText) -> Result<Vec<Segment>, Error> {
    use wire::text_segment::Segment as Wire;
    let wire::EmbedText { segments } = message;
    let segment = |message: wire::TextSegment| {
        let wire::TextSegment { segment } = message;
        Ok(match required("text.segment", segment)? {
            Wire::Text(wire::WeightedText { text, weight }) if weight.is_finite() => {
                Segment::Text { text, weight }
            }
            Wire::Text(_) => return Err(Error::Range { field: "text.weight" }),
            Wire::Break(wire::Break {}) => Segment::Break,
        })
    };
    segments.into_iter().map(segment).collect()
}
