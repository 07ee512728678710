use super::*;

fn said(status: u16, body: &'static str) -> Said {
    Some((StatusCode::from_u16(status).unwrap(), Bytes::from_static(body.as_bytes())))
}

fn answer(said: impl IntoIterator<Item = Said>) -> Option<(u16, String)> {
    let mut survey = Survey::default();
    said.into_iter().for_each(|said| survey.add(said));
    let (status, body) = survey.into_answer()?;
    Some((status.as_u16(), String::from_utf8(body.to_vec()).unwrap()))
}

#[test]
fn the_union_keeps_what_engines_wrote_and_names_each_model_once() {
    let first = said(200, r#"{"object":"list","data":[{"id":"b","x": 1.0}]}"#);
    let second = said(200, r#"{"object":"list","data":[{"id":"a"},{"id":"b","x":2},{"no":"id"}]}"#);
    let want = r#"{"object":"list","data":[{"id":"a"},{"id":"b","x": 1.0}]}"#;
    assert_eq!(answer([first, None, second]), Some((200, want.to_owned())));
}

#[test]
fn one_list_is_enough() {
    let list = said(200, r#"{"object":"list","data":[]}"#);
    assert_eq!(answer([said(401, "no"), list]).unwrap().0, 200);
}

#[test]
fn where_all_refuse_the_first_refusal_stands() {
    assert_eq!(answer([None, said(401, "no"), said(500, "x")]), Some((401, "no".to_owned())));
}

#[test]
fn what_is_no_list_is_no_answer() {
    assert_eq!(answer([None, None]), None);
    assert_eq!(answer([said(200, "garbage")]), None);
}
