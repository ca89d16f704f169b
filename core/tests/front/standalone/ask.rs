//! Requests as tests write them.

use quorate_core::error::ErrorCode;
use quorate_core::wire::client::{Create, MultiResult, Request, Response};
use quorate_core::wire::records::{Acl, Stat, op, perm};

use super::Standalone;
use super::client::Frame;

pub(crate) fn open() -> Vec<Acl<'static>> {
    vec![Acl::world(perm::ALL)]
}
pub(crate) fn make(kind: i32, path: &str, flags: i32, ttl: i64) -> Request<'_> {
    Request::Create(Create { op: kind, path: Some(path.into()), data: Some(b"d"), acl: Some(open()), flags, ttl })
}
pub(crate) fn create(path: &str) -> Request<'_> {
    make(op::CREATE, path, 0, -1)
}
/// A persistent znode with this data and list.
pub(crate) fn create_with<'a>(path: &'a str, data: &'a [u8], acl: Vec<Acl<'a>>) -> Request<'a> {
    let (path, data, acl) = (Some(path.into()), Some(data), Some(acl));
    Request::Create(Create { op: op::CREATE, path, data, acl, flags: 0, ttl: -1 })
}
pub(crate) fn get(path: &str) -> Request<'_> {
    Request::GetData { path: Some(path.into()), watch: false }
}
pub(crate) fn set(path: &str) -> Request<'_> {
    Request::SetData { path: Some(path.into()), data: Some(b"x"), version: -1 }
}
pub(crate) fn delete(path: &str) -> Request<'_> {
    Request::Delete { path: Some(path.into()), version: -1 }
}
pub(crate) fn login<'a>(scheme: &'a str, data: &'a [u8]) -> Request<'a> {
    Request::Auth { scheme: Some(scheme.into()), auth: Some(data) }
}

/// The results of a multi.
pub(crate) fn results(frame: &Frame) -> Vec<MultiResult<'_>> {
    assert_eq!(frame.err, ErrorCode::Ok);
    match Response::decode(op::MULTI, &frame.body).expect("a result") {
        Response::Multi(results) => results,
        other => panic!("{other:?}"),
    }
}
pub(crate) fn stat(s: &Standalone, path: &str) -> Stat {
    s.tree().node(path).expect("it is there").stat()
}
