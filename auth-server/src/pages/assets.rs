//! Style sheet, scripts and icon from the binary, the operator's logo, and the colours of a brand. Their names carry a hash
//! of what is in them, so browsers may keep them for good.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use shared::http::{accepts_gzip, gzip};

use super::look;
use crate::AppState;

const SVG: &str = "image/svg+xml";

/// A picture may be opened by itself, and then an SVG is a document of our origin: it can do nothing there.
const PICTURE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'";

/// A file, with the path it is served at.
#[derive(Clone)]
pub struct Asset {
    pub path: String,
    pub media_type: &'static str,
    content: Bytes,
    /// Where that is shorter.
    packed: Option<Bytes>,
}

/// The files that are always there.
pub struct Assets {
    pub css: Asset,
    pub script: Asset,
    /// For pages where a password is chosen.
    pub strength: Asset,
    pub icon: Asset,
    /// For the pages that ask for passkeys.
    pub passkeys: Asset,
}

pub static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    macro_rules! built_in {
        ($stem:literal, $extension:literal, $media_type:expr) => {{
            let content = include_bytes!(concat!("../../../templates/static/", $stem, ".", $extension));
            Asset::new($stem, $extension, $media_type, Bytes::from_static(content))
        }};
    }
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    Assets {
        css: built_in!("site", "css", "text/css; charset=utf-8"),
        script: built_in!("site", "js", SCRIPT),
        strength: built_in!("strength", "js", SCRIPT),
        icon: built_in!("icon", "svg", SVG),
        passkeys: built_in!("passkeys", "js", SCRIPT),
    }
});

impl Assets {
    fn all(&self) -> [&Asset; 5] {
        let Self { css, script, strength, icon, passkeys } = self;
        [css, script, strength, icon, passkeys]
    }
}

impl Asset {
    pub fn new(stem: &str, extension: &str, media_type: &'static str, content: Bytes) -> Self {
        let path = format!("/assets/{stem}-{}.{extension}", hash(&content));
        let packed = Bytes::from(gzip(&content));
        let packed = (packed.len() < content.len()).then_some(packed);
        Self { path, media_type, content, packed }
    }

    fn send(&self, headers: &HeaderMap) -> Response {
        let packed = self.packed.as_ref().filter(|_| accepts_gzip(headers));
        let mut response = packed.unwrap_or(&self.content).clone().into_response();
        let sent = response.headers_mut();
        sent.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        if packed.is_some() {
            sent.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        sent.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if self.media_type.starts_with("image/") {
            sent.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PICTURE_POLICY));
        }
        keep(response)
    }
}

/// What a file is known by.
pub fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn keep(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// `GET /assets/{name}`.
pub async fn serve(State(state): State<AppState>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let mut all = ASSETS.all().into_iter().chain(state.brand.logo());
    if let Some(asset) = all.find(|asset| asset.path["/assets/".len()..] == name) {
        return asset.send(&headers);
    }
    match look::stylesheet(&name) {
        Some(css) => keep(([(header::CONTENT_TYPE, "text/css; charset=utf-8")], css).into_response()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Every file by its path, as it is sent to who unpacks nothing: to look at pages without a server.
pub fn files(state: &AppState) -> Vec<(String, Bytes)> {
    let all = ASSETS.all().into_iter().chain(state.brand.logo());
    let mut files: Vec<_> = all.map(|asset| (asset.path.clone(), asset.content.clone())).collect();
    if let Some(path) = &state.brand.look().stylesheet {
        files.extend(look::stylesheet(&path["/assets/".len()..]).map(|css| (path.to_string(), css.into())));
    }
    files
}
