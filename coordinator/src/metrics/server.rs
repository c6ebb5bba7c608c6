//! The listener for Prometheus and for whoever watches that we are well: HTTP requests in, two pages out.

use std::{io, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, time::timeout};

use super::{Meters, page::page};
use crate::actor::{Figures, Handle};

/// How long the actor may take to answer before it is taken to be stuck.
const PATIENCE: Duration = Duration::from_secs(2);

/// The text format of <https://prometheus.io/docs/specs/om/open_metrics_spec/>, which Prometheus reads since 2.5.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the pages are made of.
#[derive(Debug, Clone)]
struct Source {
    actor: Handle,
    meters: Meters,
}

/// Serves `/metrics` and `/healthz` until it is dropped.
///
/// # Errors
/// The listener fails.
pub(crate) async fn serve(listener: TcpListener, actor: Handle, meters: Meters) -> io::Result<()> {
    let pages = Router::new().route("/metrics", get(metrics)).route("/healthz", get(health));
    axum::serve(listener, pages.with_state(Source { actor, meters })).await
}

async fn metrics(State(source): State<Source>) -> Response {
    match source.figures().await {
        Ok(figures) => ([(CONTENT_TYPE, OPEN_METRICS)], page(&source.meters, &figures)).into_response(),
        Err(why) => unwell(&why),
    }
}

/// Well is a coordinator whose actor answers and whose store took what it was last given.
async fn health(State(source): State<Source>) -> Response {
    match source.figures().await {
        Ok(Figures { fault: None, .. }) => "well\n".into_response(),
        Ok(Figures { fault: Some(fault), .. }) => unwell(&format!("the store fails: {fault}")),
        Err(why) => unwell(&why),
    }
}

fn unwell(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
}

// === impl Source ===

impl Source {
    async fn figures(&self) -> Result<Figures, String> {
        let stuck = |_| format!("the coordinator does not answer within {PATIENCE:?}");
        timeout(PATIENCE, self.actor.figures()).await.map_err(stuck)?.map_err(|error| error.to_string())
    }
}
