//! The documentation of an HTTP API for people: its OpenAPI document, Swagger UI with a working **Authorize** button,
//! and ReDoc. All of it is served from the binary; nothing is loaded from elsewhere.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, oauth};

use crate::problem::{Problem, pages};

/// ReDoc's bundle; `assets/redoc/README.md` says where it comes from.
const REDOC: &[u8] = include_bytes!("../assets/redoc/redoc.standalone.js");

/// Fonts of the machine: ReDoc would like Google's.
const REDOC_START: &str = "Redoc.init('/openapi.json', {\
    hideDownloadButton: false, \
    theme: {typography: {fontFamily: 'system-ui, sans-serif', headings: {fontFamily: 'system-ui, sans-serif'}, \
    code: {fontFamily: 'ui-monospace, monospace'}}}\
    }, document.getElementById('redoc'));\n";

/// How the pages present an API.
#[derive(Clone)]
pub struct Options {
    /// The pages' title.
    pub title: String,
    /// For the **Authorize** button; the OpenAPI document's `oauth2` security scheme names the endpoints.
    pub oauth: OAuth,
    /// What Swagger UI shows instead of the published document: with examples of today, for one.
    pub to_try_out: Option<OpenApi>,
}

/// The public client as which Swagger UI signs people in (authorization code + PKCE S256). Its redirect URI is
/// `/docs/oauth2-redirect.html` on the address of the page.
#[derive(Clone, Debug)]
pub struct OAuth {
    pub client_id: String,
    /// The scopes ticked when the dialog opens.
    pub scopes: Vec<String>,
    /// The authorization server's address, which the pages may talk to.
    pub authorization_server: String,
}

/// `/openapi.json` (`openapi`), `/docs` (Swagger UI), `/redoc`, and `/problems` for what goes wrong.
pub fn router<S: Clone + Send + Sync + 'static>(openapi: &OpenApi, options: Options) -> Router<S> {
    // Serialised once: the document does not change while the service runs.
    let serialised = |openapi: &OpenApi| Bytes::from(openapi.to_json().expect("an OpenAPI document serialises"));
    let published = serialised(openapi);
    let to_try_out = options.to_try_out.as_ref().map_or_else(|| published.clone(), serialised);
    let config = Arc::new(
        Config::with_oauth_config(
            ["/docs/openapi.json"],
            oauth::Config::new()
                .client_id(&options.oauth.client_id)
                .app_name(&options.title)
                .scopes(options.oauth.scopes.clone())
                .use_pkce_with_authorization_code_grant(true),
        )
        // Without the top bar, which would fetch any document that a link names.
        .use_base_layout()
        .deep_linking(true)
        .display_request_duration(true)
        .try_it_out_enabled(true)
        .persist_authorization(false)
        .validator_url("none"),
    );
    let pages = Arc::new(Pages::new(&options));
    let (swagger, redoc) = (pages.clone(), pages);
    Router::new()
        .route("/openapi.json", get(async move || openapi_document(published)))
        .route("/docs/openapi.json", get(async move || openapi_document(to_try_out)))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async move || swagger.swagger()))
        .route("/docs/{file}", get(async move |Path(file): Path<String>| swagger_file(&file, config)))
        .route("/redoc", get(async move || redoc.redoc()))
        .route("/redoc/redoc.standalone.js", get(async || script(REDOC)))
        .route("/redoc/start.js", get(async || script(REDOC_START.as_bytes())))
        .merge(pages::router())
}

/// The two HTML pages and the policies they are served under.
struct Pages {
    title: String,
    swagger_policy: HeaderValue,
    redoc_policy: HeaderValue,
}

impl Pages {
    fn new(options: &Options) -> Self {
        // The token request goes to the authorization server, whose origin is its URL without a path.
        let issuer = url::Url::parse(&options.oauth.authorization_server)
            .map(|url| url.origin().ascii_serialization())
            .unwrap_or_default();
        // Styles: both programs write style elements and attributes at run time, without a nonce. Nothing a stranger
        // wrote is ever on these pages, and script stays limited to our own files.
        let policy = |extra: &str| {
            let common = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";
            HeaderValue::try_from(format!("{common}; {extra}")).expect("a policy is ASCII")
        };
        Self {
            title: escape(&options.title),
            swagger_policy: policy(&format!("img-src 'self' data:; connect-src 'self' {issuer}")),
            // ReDoc searches in a worker that it makes from a blob.
            redoc_policy: policy("img-src 'self' data:; connect-src 'self'; worker-src blob:"),
        }
    }

    fn swagger(&self) -> Response {
        let body = "<link rel=\"stylesheet\" href=\"/docs/swagger-ui.css\">\n\
                    <link rel=\"stylesheet\" href=\"/docs/index.css\">\n\
                    <div id=\"swagger-ui\"></div>\n\
                    <script src=\"/docs/swagger-ui-bundle.js\"></script>\n\
                    <script src=\"/docs/swagger-ui-standalone-preset.js\"></script>\n\
                    <script src=\"/docs/swagger-initializer.js\"></script>\n";
        self.page(body, &self.swagger_policy)
    }

    fn redoc(&self) -> Response {
        let body = "<div id=\"redoc\"></div>\n\
                    <script src=\"/redoc/redoc.standalone.js\"></script>\n\
                    <script src=\"/redoc/start.js\"></script>\n";
        self.page(body, &self.redoc_policy)
    }

    fn page(&self, body: &str, policy: &HeaderValue) -> Response {
        let page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <link rel=\"icon\" type=\"image/png\" href=\"/docs/favicon-32x32.png\">\n\
             <style>body {{ margin: 0 }}</style>\n{body}",
            self.title
        );
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (CONTENT_SECURITY_POLICY, policy.clone()),
        ];
        (headers, page).into_response()
    }
}

/// Readable from any origin: code generators and API explorers live in browsers too.
fn openapi_document(document: Bytes) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, document).into_response()
}

fn swagger_file(file: &str, config: Arc<Config<'static>>) -> Response {
    // The page that receives the authorization response hands it to its opener; nothing else may run there.
    const REDIRECT_POLICY: &str = "default-src 'none'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'";
    match utoipa_swagger_ui::serve(file, config) {
        // Its own index page has none of our headers.
        Ok(Some(_)) if file == "index.html" => Redirect::permanent("/docs/").into_response(),
        Ok(Some(found)) => {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, cacheable(file));
            if let Ok(media_type) = HeaderValue::try_from(found.content_type) {
                headers.insert(CONTENT_TYPE, media_type);
            }
            if file == "oauth2-redirect.html" {
                headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(REDIRECT_POLICY));
            }
            let bytes = match found.bytes {
                Cow::Borrowed(embedded) => Bytes::from_static(embedded),
                Cow::Owned(made) => Bytes::from(made),
            };
            (headers, bytes).into_response()
        }
        Ok(None) => Problem::not_found().into_response(),
        Err(error) => {
            tracing::error!(%error, file, "Swagger UI's file can't be prepared");
            Problem::internal().into_response()
        }
    }
}

/// What comes from the configuration is asked for anew, the bundles are not.
fn cacheable(file: &str) -> HeaderValue {
    let changes = file == "swagger-initializer.js" || file == "oauth2-redirect.html";
    HeaderValue::from_static(if changes { "no-cache" } else { "public, max-age=3600" })
}

fn script(text: &'static [u8]) -> Response {
    let headers = [(CONTENT_TYPE, "text/javascript; charset=utf-8"), (CACHE_CONTROL, "public, max-age=3600")];
    (headers, Bytes::from_static(text)).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn ask(path: &str) -> (u16, HeaderMap, String) {
        let openapi = OpenApi::default();
        let options = Options {
            title: "Codes & <more>".into(),
            oauth: OAuth {
                client_id: "swagger-ui".into(),
                scopes: vec!["referral-codes:read".into()],
                authorization_server: "http://127.0.0.1:8080".into(),
            },
            to_try_out: None,
        };
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (parts, body) = router::<()>(&openapi, options).oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 4 << 20).await.unwrap();
        (parts.status.as_u16(), parts.headers, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn swagger_ui_signs_in_with_pkce_as_the_configured_client() {
        let (status, headers, page) = ask("/docs/").await;
        assert_eq!(status, 200);
        assert!(page.contains("<title>Codes &amp; &lt;more&gt;</title>"), "{page}");
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("connect-src 'self' http://127.0.0.1:8080"), "{policy}");
        assert!(!policy.contains("script-src 'self' 'unsafe"), "{policy}");

        let (_, _, start) = ask("/docs/swagger-initializer.js").await;
        for expected in [
            "\"usePkceWithAuthorizationCodeGrant\": true",
            "\"clientId\": \"swagger-ui\"",
            "\"referral-codes:read\"",
            "\"url\": \"/docs/openapi.json\"",
        ] {
            assert!(start.contains(expected), "{expected} in {start}");
        }
        assert!(!start.contains("client_secret") && !start.contains("clientSecret"));
        assert_eq!(ask("/docs/oauth2-redirect.html").await.0, 200);
        assert_eq!(ask("/docs/oauth2-redirect.js").await.0, 200);
        assert_eq!(ask("/docs").await.1["location"], "/docs/");
        assert_eq!(ask("/docs/nothing.js").await.0, 404);
    }

    #[tokio::test]
    async fn every_file_a_page_names_is_served_from_here() {
        for page in ["/docs/", "/redoc"] {
            let (status, _, html) = ask(page).await;
            assert_eq!(status, 200);
            assert!(!html.contains("//"), "{page} loads something from elsewhere: {html}");
            let names = html.split('"').filter(|part| part.starts_with('/'));
            for name in names {
                assert_eq!(ask(name).await.0, 200, "{name} of {page}");
            }
        }
    }

    #[test]
    fn redocs_bundle_asks_no_third_party_for_a_logo() {
        assert!(!String::from_utf8_lossy(REDOC).contains("cdn.redoc.ly"));
    }

    #[tokio::test]
    async fn the_document_may_be_read_from_any_origin() {
        let (status, headers, body) = ask("/openapi.json").await;
        assert_eq!((status, headers[ACCESS_CONTROL_ALLOW_ORIGIN].to_str().unwrap()), (200, "*"));
        assert!(body.starts_with("{\"openapi\":\"3.1.0\""), "{body}");
        assert_eq!(ask("/docs/openapi.json").await.2, body);
    }
}
