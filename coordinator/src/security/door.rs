//! The door in front of all services: calls in; those whose callers may, with who they are, out; the others refused.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;
use tonic::{
    Status,
    body::Body,
    codegen::{
        Service,
        http::{self, request::Parts},
    },
    transport::server::TlsConnectInfo,
};
use tower::Layer;

use super::{
    Credential, Kind, Peer, Registry, Role,
    rule::{self, Rule},
    secret,
};
use crate::clock;

/// How long a credential that was found good is believed: so long a revoked one may still work.
const BELIEVED: Duration = Duration::from_secs(2);

/// Credentials that are remembered so.
const REMEMBERED: usize = 4096;

/// Look-ups at a time, so that strangers with made-up tokens do not keep the store from its jobs.
const LOOKUPS: usize = 4;

/// Jobs that are received at a time: each may bring a picture, see [`tessera_proto::limits::IMAGE_FILE`].
const UPLOADS: usize = 8;

/// How long a job may wait for the others to be received.
const TURN: Duration = Duration::from_secs(30);

/// Holds callers to the rules.
#[derive(Clone)]
pub(crate) struct Door {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None`: everybody may everything.
    registry: Option<Registry>,
    believed: Mutex<HashMap<[u8; 32], (Credential, Instant)>>,
    lookups: Semaphore,
    uploads: Semaphore,
}

/// Who makes a call, in the extensions of its request; absent where everybody may everything.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) credential: Credential,
    /// Hash of what was shown.
    pub(crate) hash: [u8; 32],
}

/// A service behind the door.
#[derive(Debug, Clone)]
pub(crate) struct Guarded<S> {
    door: Door,
    inner: S,
}

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "this cluster asks for a token: pass --token or set TESSERA_TOKEN (an admin makes one with `tessera token new`)"
    )]
    Nothing,
    #[error(
        "a worker attends with a certificate: start it with a join token (`tessera token new --role worker`)"
    )]
    NoCertificate,
    #[error("this {kind} is not known here: it is another cluster's, or was mistyped")]
    Unknown { kind: Kind },
    #[error("the {kind} {id} of {name} has expired: ask for a new one")]
    Expired { kind: Kind, id: String, name: String },
    #[error("the {kind} {id} of {name} was revoked: ask for a new one")]
    Revoked { kind: Kind, id: String, name: String },
    #[error("a {role}'s {kind} is not enough for this: it is for {who}")]
    Role { kind: Kind, role: Role, who: String },
    #[error("credentials cannot be looked up now: {0}")]
    Store(#[from] super::RegistryError),
    #[error("too many jobs are being received ({UPLOADS} at a time): try again later")]
    Busy,
}

// === impl Door ===

impl Door {
    /// A door that asks for the registry's credentials; for nothing, where there is none.
    pub(crate) fn new(registry: Option<Registry>) -> Self {
        let shared = Shared {
            registry,
            believed: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS),
            uploads: Semaphore::new(UPLOADS),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Who makes a call, if that is asked.
    async fn admit(&self, head: &Parts) -> Result<Option<Caller>, Refusal> {
        let Some(registry) = &self.shared.registry else { return Ok(None) };
        let rule = rule::of(head.uri.path());
        let (kind, shown) = match rule {
            Rule::Open => return Ok(None),
            Rule::Any(_) => match (token(head), certificate(head)) {
                (Some(token), _) => (Kind::Token, token),
                (None, Some(certificate)) => (Kind::Certificate, certificate),
                (None, None) => return Err(Refusal::Nothing),
            },
            Rule::Certificate(_) => (Kind::Certificate, certificate(head).ok_or(Refusal::NoCertificate)?),
        };
        let hash = secret::hash(&shown);
        let credential = self.find(registry, hash).await?.ok_or(Refusal::Unknown { kind })?;
        let Credential { id, name, role, .. } = &credential;
        match () {
            () if credential.revoked => Err(Refusal::Revoked { kind, id: id.clone(), name: name.clone() }),
            () if credential.expired => Err(Refusal::Expired { kind, id: id.clone(), name: name.clone() }),
            () if !rule.allows(kind, *role) => Err(Refusal::Role { kind, role: *role, who: rule.who() }),
            () => Ok(Some(Caller { credential, hash })),
        }
    }

    async fn find(&self, registry: &Registry, hash: [u8; 32]) -> Result<Option<Credential>, Refusal> {
        let now = clock::now();
        let believed = || self.shared.believed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((credential, since)) = believed().get(&hash)
            && now.saturating_duration_since(*since) < BELIEVED
        {
            return Ok(Some(credential.clone()));
        }
        let _turn = self.shared.lookups.acquire().await.map_err(|_| Refusal::Busy)?;
        let found = registry.find(hash).await?;
        if let Some(credential) = found.as_ref().filter(|credential| credential.is_good()) {
            let mut believed = believed();
            if believed.len() >= REMEMBERED {
                believed.clear();
            }
            believed.insert(hash, (credential.clone(), now));
        }
        Ok(found)
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("asks", &self.shared.registry.is_some()).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for Door {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { door: self.clone(), inner }
    }
}

// === impl Guarded ===

impl<S> Service<http::Request<Body>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Future: Send> + Clone + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        // What was made ready is used, and a new one takes its place.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let door = self.door.clone();
        // A body may not be looked at by two threads, so that its request may not be held here.
        let (mut head, body) = request.into_parts();
        Box::pin(async move {
            let caller = match door.admit(&head).await {
                Ok(caller) => caller,
                Err(refusal) => return Ok(refuse(&head, refusal)),
            };
            // Who shows nothing to a cluster that asks may look whether it is up, and stays a stranger.
            if let Some(peer) = peer(&head).filter(|_| caller.is_some() || door.shared.registry.is_none()) {
                peer.admit();
            }
            if let Some(caller) = caller {
                head.extensions.insert(caller);
            }
            let brings = head.uri.path() == "/tessera.v1.Jobs/Submit";
            let turn = tokio::time::timeout(TURN, door.shared.uploads.acquire());
            let _turn = match brings {
                false => None,
                true => match turn.await {
                    Ok(Ok(turn)) => Some(turn),
                    _ => return Ok(refuse(&head, Refusal::Busy)),
                },
            };
            inner.call(http::Request::from_parts(head, body)).await
        })
    }
}

/// The answer to a call that is refused; those who run the cluster see it too.
fn refuse(head: &Parts, refusal: Refusal) -> http::Response<Body> {
    let address = peer(head).and_then(Peer::address);
    let call = head.uri.path();
    tracing::warn!(?address, call, %refusal, "a call was refused");
    let text = refusal.to_string();
    let status = match refusal {
        Refusal::Role { .. } => Status::permission_denied(text),
        Refusal::Store(_) => Status::unavailable(text),
        Refusal::Busy => Status::resource_exhausted(text),
        Refusal::Nothing
        | Refusal::NoCertificate
        | Refusal::Unknown { .. }
        | Refusal::Expired { .. }
        | Refusal::Revoked { .. } => Status::unauthenticated(text),
    };
    status.into_http()
}

/// `authorization: Bearer TOKEN`, RFC 6750.
fn token(head: &Parts) -> Option<Vec<u8>> {
    let value = head.headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().as_bytes().to_vec())
}

/// DER of the caller's own certificate, which TLS has traced to our authority.
fn certificate(head: &Parts) -> Option<Vec<u8>> {
    let certificates = head.extensions.get::<TlsConnectInfo<Peer>>()?.peer_certs()?;
    certificates.first().map(|certificate| certificate.as_ref().to_vec())
}

fn peer(head: &Parts) -> Option<&Peer> {
    let extensions = &head.extensions;
    let inside = || extensions.get::<TlsConnectInfo<Peer>>().map(TlsConnectInfo::get_ref);
    extensions.get::<Peer>().or_else(inside)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tonic::Code;
    use tower::{ServiceExt, service_fn};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    /// Makes a call; returns its gRPC code, and whether who made it is a stranger still.
    async fn call(door: &Door, path: &str, token: Option<&str>) -> (Code, bool) {
        let peer = Peer::stranger();
        let mut request = http::Request::builder().uri(path).extension(peer.clone());
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let inner = service_fn(|_| async { Ok::<_, Infallible>(Status::ok("").into_http()) });
        let answer = door.layer(inner).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        (Status::from_header_map(answer.headers()).unwrap().code(), peer.is_stranger())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn only_those_who_show_something_good_may_stay() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("a").display());
        let registry = Registry::open(&url).await.unwrap();
        let [submit, admin] = [Role::Submit, Role::Admin].map(|role| registry.token(role, "ann", DAY));
        let (submit, admin) = (submit.await.unwrap(), admin.await.unwrap());
        let door = Door::new(Some(registry));
        for (path, token, expected) in [
            ("/grpc.health.v1.Health/Check", None, (Code::Ok, true)),
            ("/tessera.v1.Jobs/List", None, (Code::Unauthenticated, true)),
            ("/tessera.v1.Jobs/List", Some(&"made up".to_owned()), (Code::Unauthenticated, true)),
            ("/tessera.v1.Jobs/Drain", Some(&submit), (Code::PermissionDenied, true)),
            ("/tessera.v1.Jobs/List", Some(&submit), (Code::Ok, false)),
            ("/tessera.v1.Jobs/Drain", Some(&admin), (Code::Ok, false)),
            ("/tessera.v1.Fleet/Attend", Some(&admin), (Code::Unauthenticated, true)),
        ] {
            assert_eq!(call(&door, path, token.map(String::as_str)).await, expected, "{path}");
        }
    }

    #[tokio::test]
    async fn where_nothing_is_asked_everybody_may_stay() {
        let door = Door::new(None);
        assert_eq!(call(&door, "/tessera.v1.Jobs/List", None).await, (Code::Ok, false));
    }
}
