//! `GET /openapi.json` and `GET /docs`: the API described, and Swagger UI over the description,
//! all of it from within the program.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use super::{
    body::Spliced,
    error::{ApiError, own},
};

/// The two endpoints.
#[derive(Clone, Debug)]
pub(super) struct Docs {
    openapi: Bytes,
    prefix: Arc<str>,
}

impl Docs {
    /// `prefix` is what larder's own paths are below; `proxy` is whether `/proxy` is beside them.
    pub(super) fn new(prefix: &str, proxy: bool) -> Self {
        let openapi = include_str!("openapi.json")
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
            .replace("{{prefix}}", if prefix.is_empty() { "/" } else { prefix });
        let openapi = match proxy {
            true => openapi,
            false => without_proxy(&openapi),
        };
        Docs {
            openapi: openapi.into(),
            prefix: prefix.into(),
        }
    }

    pub(super) fn openapi(&self) -> Response<Spliced> {
        own(StatusCode::OK, "application/json", self.openapi.clone())
    }

    /// The file below `/docs`; the page itself is the empty one.
    pub(super) fn file(&self, name: &str) -> Response<Spliced> {
        let description = format!("{}/openapi.json", self.prefix);
        // The validator that it would show is a service on the internet.
        let config = utoipa_swagger_ui::Config::from(description).validator_url("none");
        let Ok(Some(file)) = utoipa_swagger_ui::serve(name, Arc::new(config)) else {
            let message = "There is no such page in the documentation.";
            return ApiError::new(StatusCode::NOT_FOUND, "not_found", message).into_response();
        };
        let bytes = match name {
            "" => self.page(&file.bytes),
            _ => file.bytes.into_owned(),
        };
        let mut response = own(StatusCode::OK, "text/html; charset=utf-8", bytes);
        let headers = response.headers_mut();
        if let Ok(content_type) = HeaderValue::try_from(file.content_type)
            && !name.is_empty()
        {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static("max-age=3600"),
        );
        response
    }

    /// The page, whose links are relative, as it must be to work at `/docs` and at `/docs/`.
    fn page(&self, html: &[u8]) -> Vec<u8> {
        let base = format!("<head>\n    <base href=\"{}/docs/\">", self.prefix);
        String::from_utf8_lossy(html)
            .replacen("<head>", &base, 1)
            .replacen("<title>Swagger UI</title>", "<title>larder</title>", 1)
            .into_bytes()
    }
}

/// The description of the controls, where they have a listener of their own.
fn without_proxy(openapi: &str) -> String {
    let mut api: serde_json::Value =
        serde_json::from_str(openapi).expect("our own description is JSON");
    if let Some(paths) = api["paths"].as_object_mut() {
        paths.shift_remove("/proxy");
    }
    format!("{api:#}\n")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn text(response: Response<Spliced>) -> String {
        assert_eq!(response.status(), 200);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_description_is_json_and_knows_version_and_prefix() {
        let text = text(Docs::new("/_larder", true).openapi()).await;
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["info"]["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(value["servers"][0]["url"], "/_larder");
        for path in ["/proxy", "/cache", "/metrics", "/healthz", "/docs"] {
            assert!(value["paths"][path].is_object(), "{path}");
        }
        assert!(!text.contains("{{"));
    }

    #[tokio::test]
    async fn proxy_is_described_where_it_is() {
        let text = text(Docs::new("", false).openapi()).await;
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let paths: Vec<_> = value["paths"].as_object().unwrap().keys().collect();
        let rest = ["/cache", "/metrics", "/healthz", "/openapi.json", "/docs"];
        assert_eq!(paths, rest);
    }

    #[tokio::test]
    async fn the_page_and_all_that_it_loads_are_here() {
        let docs = Docs::new("/_larder", true);
        let page = text(docs.file("")).await;
        assert!(page.contains("<base href=\"/_larder/docs/\">"));
        assert!(!page.contains("http://") && !page.contains("https://"));
        let links = page
            .split(['"'])
            .filter(|link| link.ends_with(".js") || link.ends_with(".css"));
        let mut count = 0;
        for link in links {
            let name = link.trim_start_matches("./");
            assert_eq!(docs.file(name).status(), 200, "{name}");
            count += 1;
        }
        assert_eq!(count, 5);
        assert!(
            text(docs.file("swagger-initializer.js"))
                .await
                .contains("/_larder/openapi.json")
        );
    }

    #[test]
    fn nothing_else_is_here() {
        assert_eq!(Docs::new("", true).file("../../Cargo.toml").status(), 404);
        assert_eq!(Docs::new("", true).file("missing.js").status(), 404);
    }
}
