//! Models that a cluster keeps: messages in, checked lists of files and hashes out, and back.

use bytes::Bytes;

use super::{Error, required};
use crate::{ContentHash, Manifest, ModelFile, RegisteredModel, wire};

impl From<ContentHash> for Bytes {
    fn from(hash: ContentHash) -> Self {
        Self::copy_from_slice(hash.bytes())
    }
}

impl TryFrom<Bytes> for ContentHash {
    type Error = Error;

    fn try_from(bytes: Bytes) -> Result<Self, Error> {
        let bytes = bytes.as_ref().try_into().map_err(|_| Error::Range { field: "hash" })?;
        Ok(Self::new(bytes))
    }
}

impl From<&Manifest> for wire::Manifest {
    fn from(manifest: &Manifest) -> Self {
        let file = |ModelFile { name, size, hash }: &ModelFile| wire::ModelFile {
            name: name.clone(),
            size: *size,
            hash: (*hash).into(),
        };
        Self { name: manifest.name().to_owned(), files: manifest.files().iter().map(file).collect() }
    }
}

impl TryFrom<wire::Manifest> for Manifest {
    type Error = Error;

    fn try_from(message: wire::Manifest) -> Result<Self, Error> {
        let wire::Manifest { name, files } = message;
        let file = |message: wire::ModelFile| {
            let wire::ModelFile { name, size, hash } = message;
            Ok(ModelFile { name, size, hash: hash.try_into()? })
        };
        Ok(Self::new(name, files.into_iter().map(file).collect::<Result<_, Error>>()?)?)
    }
}

impl TryFrom<wire::LackingRequest> for Manifest {
    type Error = Error;

    fn try_from(message: wire::LackingRequest) -> Result<Self, Error> {
        let wire::LackingRequest { manifest } = message;
        required("lacking.manifest", manifest)?.try_into()
    }
}

impl TryFrom<wire::RegisterRequest> for Manifest {
    type Error = Error;

    fn try_from(message: wire::RegisterRequest) -> Result<Self, Error> {
        let wire::RegisterRequest { manifest } = message;
        required("register.manifest", manifest)?.try_into()
    }
}

impl From<RegisteredModel> for wire::Model {
    fn from(RegisteredModel { name, hash, size, files }: RegisteredModel) -> Self {
        Self { name, hash: hash.into(), size, files }
    }
}

impl TryFrom<wire::Model> for RegisteredModel {
    type Error = Error;

    fn try_from(message: wire::Model) -> Result<Self, Error> {
        let wire::Model { name, hash, size, files } = message;
        Ok(Self { name, hash: hash.try_into()?, size, files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::INDEX;

    fn manifest(name: &str) -> wire::Manifest {
        let file = |name: &str| wire::ModelFile { name: name.to_owned(), size: 2, hash: vec![1; 32].into() };
        wire::Manifest { name: "m".to_owned(), files: vec![file(INDEX), file(name)] }
    }

    #[test]
    fn a_manifest_survives_the_wire_and_is_checked_there() {
        let ours = Manifest::try_from(manifest("unet/model.onnx")).unwrap();
        assert_eq!(Manifest::try_from(wire::Manifest::from(&ours)), Ok(ours));
        let error = Manifest::try_from(manifest("unet/../../x")).unwrap_err();
        assert!(error.to_string().contains("unet/../../x"), "{error}");
        let mut short = manifest("unet/a");
        short.files[0].hash = vec![1; 31].into();
        assert_eq!(Manifest::try_from(short), Err(Error::Range { field: "hash" }));
    }
}
