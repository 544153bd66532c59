//! The HTTP port: whether the master lives, what it has in the shape of Spark's master, and metrics.

use super::{handle, links::Links, metrics, spark_json};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hearth_core::{Refusal, messages::status::ClusterView};
use std::sync::{Arc, atomic::Ordering};

/// The pages.
pub(super) fn router(links: Arc<Links>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/json", get(json))
        .route("/json/", get(json))
        .route("/metrics", get(prometheus))
        .fallback(async || (StatusCode::NOT_FOUND, "not found; there are /healthz, /json/ and /metrics\n"))
        .with_state(links)
}

/// A refusal as an answer: whatever the reason, the master cannot answer now.
struct Unavailable(Refusal);

impl IntoResponse for Unavailable {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", self.0)).into_response()
    }
}

async fn view(links: &Links) -> Result<ClusterView, Unavailable> {
    handle::status(links).await.map_err(Unavailable)
}

/// Healthy means that the loop answers, not only that this server does.
async fn healthz(State(links): State<Arc<Links>>) -> Result<&'static str, Unavailable> {
    view(&links).await.map(|_| "ok\n")
}

async fn json(State(links): State<Arc<Links>>) -> Result<Json<spark_json::MasterJson>, Unavailable> {
    let view = view(&links).await?;
    Ok(Json(spark_json::master(&view, super::links::wall_time())))
}

async fn prometheus(State(links): State<Arc<Links>>) -> Result<impl IntoResponse, Unavailable> {
    let view = view(&links).await?;
    let text = metrics::text(&view, links.handled.load(Ordering::Relaxed));
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}
