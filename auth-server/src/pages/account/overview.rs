//! `/account`: where the pages begin.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::{Account, Section};
use crate::pages::layout::Page;
use crate::pages::texts::Texts;

#[derive(Template)]
#[template(path = "pages/account/overview.html")]
struct Overview<'a> {
    page: &'a Page,
    t: Texts,
    section: Section,
    account: &'a Account,
}

pub async fn show(account: Account) -> Response {
    let page = &account.page;
    page.render(StatusCode::OK, &Overview { page, t: page.t(), section: Section::Overview, account: &account })
}
