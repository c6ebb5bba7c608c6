//! How a token is shown: a text in, a header on every call out.

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue, errors::InvalidMetadataValue},
    service::Interceptor,
};

/// Shows a token with every call.
#[derive(Debug, Clone, Default)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

// === impl Bearer ===

impl Bearer {
    /// Shows this token, if there is one.
    ///
    /// # Errors
    /// No header can carry it.
    pub(super) fn of(token: Option<&str>) -> Result<Self, InvalidMetadataValue> {
        Ok(Self(token.map(|token| format!("Bearer {token}").parse()).transpose()?))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Self(Some(token)) = self {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}
