//! Style sheet, script and icon, from the binary. Their names carry a hash of what is in them, so browsers may keep
//! them for good.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// A file, with the path it is served at.
pub struct Asset {
    pub path: String,
    media_type: &'static str,
    content: &'static str,
}

/// The files there are.
pub struct Assets {
    pub css: Asset,
    pub script: Asset,
    /// For pages where a password is chosen.
    pub strength: Asset,
    pub icon: Asset,
    /// For the pages that ask for passkeys.
    pub passkeys: Asset,
}

pub static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    css: asset("site", "css", "text/css; charset=utf-8", include_str!("../../../templates/static/site.css")),
    script: asset("site", "js", "text/javascript; charset=utf-8", include_str!("../../../templates/static/site.js")),
    strength: asset(
        "strength",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("../../../templates/static/strength.js"),
    ),
    icon: asset("icon", "svg", "image/svg+xml", include_str!("../../../templates/static/icon.svg")),
    passkeys: asset(
        "passkeys",
        "js",
        "text/javascript; charset=utf-8",
        include_str!("../../../templates/static/passkeys.js"),
    ),
});

fn asset(stem: &str, extension: &str, media_type: &'static str, content: &'static str) -> Asset {
    let digest = Sha256::digest(content.as_bytes());
    let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Asset { path: format!("/assets/{stem}-{hash}.{extension}"), media_type, content }
}

/// `GET /assets/{name}`.
pub async fn serve(Path(name): Path<String>) -> Response {
    let Assets { css, script, strength, icon, passkeys } = &*ASSETS;
    let all = [css, script, strength, icon, passkeys];
    match all.into_iter().find(|asset| asset.path["/assets/".len()..] == name) {
        Some(asset) => (
            [(header::CONTENT_TYPE, asset.media_type), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")],
            asset.content,
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
