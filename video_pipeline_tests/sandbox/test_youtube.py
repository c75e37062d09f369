"""The YouTube wire: resumable upload that publishes once, video resources, analytics, and the platform's faults."""

import hashlib
import re
import time

import httpx
import pytest

from video_pipeline.sandbox.audience import audience_numbers
from video_pipeline_tests.sandbox.conftest import REFRESH, Client
from video_pipeline_tests.sandbox.test_faults import CUT

CHUNK = 256 * 1024
BODY = b"\x00\x00\x00\x20ftypisom" + bytes(range(256)) * 2500
"""640,012 bytes that begin like an mp4: two whole chunks and a rest."""
DESCRIPTION = "A calm film.\nBrief: brief-7\nClip: clip-9\nModel: sandbox/grand"


def upload(sandbox: Client, title: str = "A clip", description: str = "", body: bytes = BODY) -> dict:
    snippet = {"title": title, "description": description, "tags": ["calm"], "categoryId": "22"}
    status = {"privacyStatus": "unlisted", "containsSyntheticMedia": True, "selfDeclaredMadeForKids": False}
    session = sandbox.start_upload(size=len(body), snippet=snippet, status=status).headers["Location"]
    answer = sandbox.google.put(session, content=body)
    assert answer.status_code == 200
    return answer.json()


def test_the_last_lines_of_a_description_are_the_ids(sandbox: Client) -> None:
    video = upload(sandbox, description=f"A caption.\nClip: another\nBrief: another\n{DESCRIPTION}")
    [entry] = [entry for entry in sandbox.books()["videos"] if entry["video_id"] == video["id"]]
    assert (entry["brief_id"], entry["clip_id"]) == ("brief-7", "clip-9")


def test_a_refresh_token_gives_an_access_token(sandbox: Client) -> None:
    token = httpx.post(f"{sandbox.base_url}/oauth2/token", data=REFRESH)
    assert token.status_code == 200
    assert token.json()["token_type"] == "Bearer"
    assert token.json()["access_token"]
    assert token.json()["expires_in"] > 0
    refused = httpx.post(f"{sandbox.base_url}/oauth2/token", data=REFRESH | {"refresh_token": ""})
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


def test_a_whole_upload_publishes_one_video_and_is_in_the_books(sandbox: Client) -> None:
    video = upload(sandbox, "A calm film", DESCRIPTION)
    assert video["kind"] == "youtube#video"
    assert video["snippet"]["title"] == "A calm film"
    assert video["status"]["privacyStatus"] == "unlisted"
    [entry] = [entry for entry in sandbox.books()["videos"] if entry["video_id"] == video["id"]]
    assert entry | {"published_at": "", "session": ""} == {
        "video_id": video["id"],
        "session": "",
        "wire": "youtube",
        "title": "A calm film",
        "description": DESCRIPTION,
        "tags": ["calm"],
        "privacyStatus": "unlisted",
        "containsSyntheticMedia": True,
        "sha256": hashlib.sha256(BODY).hexdigest(),
        "bytes": len(BODY),
        "published_at": "",
        "brief_id": "brief-7",
        "clip_id": "clip-9",
        "model": "sandbox/grand",
    }


def test_an_upload_in_chunks_is_resumed_and_published_once(sandbox: Client) -> None:
    session = sandbox.start_upload(size=len(BODY)).headers["Location"]
    total = len(BODY)
    query = {"Content-Range": f"bytes */{total}"}
    nothing = sandbox.google.put(session, headers=query)
    assert (nothing.status_code, nothing.headers.get("Range")) == (308, None)
    first = sandbox.google.put(
        session, content=BODY[:CHUNK], headers={"Content-Range": f"bytes 0-{CHUNK - 1}/{total}"}
    )
    assert (first.status_code, first.headers["Range"]) == (308, f"bytes=0-{CHUNK - 1}")
    assert sandbox.google.put(session, headers=query).headers["Range"] == f"bytes=0-{CHUNK - 1}"
    gap = sandbox.google.put(
        session, content=BODY[2 * CHUNK :], headers={"Content-Range": f"bytes {2 * CHUNK}-{total - 1}/{total}"}
    )
    assert (gap.status_code, gap.headers["Range"]) == (308, f"bytes=0-{CHUNK - 1}")
    odd = sandbox.google.put(
        session, content=BODY[CHUNK : CHUNK + 9], headers={"Content-Range": f"bytes {CHUNK}-{CHUNK + 8}/{total}"}
    )
    assert odd.status_code == 400
    rest = {"Content-Range": f"bytes {CHUNK}-{total - 1}/{total}"}
    done = sandbox.google.put(session, content=BODY[CHUNK:], headers=rest)
    assert done.status_code == 200
    for again in (sandbox.google.put(session, headers=query), sandbox.google.put(session, content=BODY)):
        assert (again.status_code, again.json()["id"]) == (200, done.json()["id"])
    made = [entry for entry in sandbox.books()["videos"] if entry["session"] in session]
    assert [entry["sha256"] for entry in made] == [hashlib.sha256(BODY).hexdigest()]


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        ({"snippet": {"title": "x" * 101}}, "invalidTitle"),
        ({"snippet": {"title": ""}}, "invalidTitle"),
        ({"snippet": {"title": "x", "description": "y" * 5001}}, "invalidDescription"),
        ({"snippet": {"title": "x"}, "status": {"privacyStatus": "secret"}}, "invalidVideoMetadata"),
        ({"snippet": {"title": "x"}, "status": {"publishAt": "2030-01-01T00:00:00Z"}}, "invalidPublishAt"),
        ({"snippet": None}, "badRequest"),
    ],
)
def test_metadata_that_youtube_refuses_is_refused(sandbox: Client, resource: dict, reason: str) -> None:
    answer = sandbox.start_upload(**resource)
    assert answer.status_code == 400
    assert answer.json()["error"]["errors"][0]["reason"] == reason


def test_a_body_of_another_length_than_announced_is_refused(sandbox: Client) -> None:
    session = sandbox.start_upload(size=5).headers["Location"]
    assert sandbox.google.put(session, content=b"more than five").status_code == 400


def test_without_a_token_nothing_is_done(sandbox: Client) -> None:
    url = f"{sandbox.base_url}/youtube/youtube/v3/videos"
    answer = httpx.get(url, params={"id": "x", "part": "status"})
    assert answer.status_code == 401
    assert answer.json()["error"]["errors"][0]["reason"] == "authError"
    assert httpx.post(f"{sandbox.base_url}/youtube/upload/youtube/v3/videos", json={}).status_code in (400, 401)


def test_videos_are_processed_and_counted_in_strings(sandbox: Client) -> None:
    good, bad = upload(sandbox)["id"], upload(sandbox, body=b"no film at all")["id"]
    url = f"{sandbox.base_url}/youtube/youtube/v3/videos"
    query = {"part": "snippet,status,processingDetails,statistics", "id": f"{good},nobody,{bad}"}
    first = sandbox.google.get(url, params=query).json()["items"]
    assert [(item["id"], item["status"]["uploadStatus"]) for item in first] == [(good, "uploaded"), (bad, "uploaded")]
    deadline = time.monotonic() + 10
    items = first
    while items[0]["status"]["uploadStatus"] == "uploaded":
        assert time.monotonic() < deadline
        time.sleep(0.05)
        items = sandbox.google.get(url, params=query).json()["items"]
    assert items[0]["status"]["uploadStatus"] == "processed"
    assert items[0]["processingDetails"]["processingStatus"] == "succeeded"
    assert set(items[0]["statistics"]) == {"viewCount", "likeCount", "favoriteCount", "commentCount"}
    assert int(items[0]["statistics"]["viewCount"]) >= 0
    assert all(isinstance(count, str) for count in items[0]["statistics"].values())


def test_a_file_that_is_no_film_fails_in_processing(sandbox: Client) -> None:
    video_id = upload(sandbox, body=b"no film at all")["id"]
    url = f"{sandbox.base_url}/youtube/youtube/v3/videos"
    deadline = time.monotonic() + 10
    status: dict = {}
    while status.get("uploadStatus", "uploaded") == "uploaded":
        assert time.monotonic() < deadline
        time.sleep(0.05)
        status = sandbox.google.get(url, params={"part": "status", "id": video_id}).json()["items"][0]["status"]
    assert (status["uploadStatus"], status["failureReason"]) == ("failed", "invalidFile")


def test_analytics_give_a_row_for_each_video(sandbox: Client) -> None:
    first, second = upload(sandbox)["id"], upload(sandbox)["id"]
    metrics = "views,engagedViews,averageViewPercentage,likes,comments,shares"
    query = {
        "ids": "channel==MINE",
        "startDate": "2020-01-01",
        "endDate": "2999-01-01",
        "metrics": metrics,
        "dimensions": "video",
        "filters": f"video=={first},{second}",
    }
    url = f"{sandbox.base_url}/youtube-analytics/v2/reports"
    report = sandbox.google.get(url, params=query).json()
    assert [header["name"] for header in report["columnHeaders"]] == ["video", *metrics.split(",")]
    assert [row[0] for row in report["rows"]] == [first, second]
    assert all(len(row) == 7 for row in report["rows"])
    assert sandbox.google.get(url, params=query | {"endDate": "2021-01-01"}).json()["rows"] == []
    assert sandbox.google.get(url, params=query | {"metrics": "happiness"}).status_code == 400
    assert sandbox.google.get(url, params=query | {"startDate": "soon"}).status_code == 400


def test_engagement_grows_saturates_and_repeats() -> None:
    ages = [0, 2, 5, 20, 60, 600]
    views = [audience_numbers("video", 0.6, age).views for age in ages]
    assert views == sorted(views)
    assert views[0] == 0
    assert views[2] > 100
    assert views[5] - views[4] < 0.02 * views[5]
    assert audience_numbers("video", 0.6, 7.2) == audience_numbers("video", 0.6, 7.9)


def test_engagement_follows_appeal_with_luck() -> None:
    dull = [audience_numbers(f"v{number}", 0.4, 60) for number in range(200)]
    good = [audience_numbers(f"v{number}", 0.8, 60) for number in range(200)]
    assert sum(video.views for video in good) > 2 * sum(video.views for video in dull)
    assert max(video.views for video in dull) > min(video.views for video in good)
    assert len({video.views for video in dull}) > 150
    for video in dull + good:
        assert video.views >= video.engaged_views >= video.likes >= 0


def test_a_short_plays_the_published_file(sandbox: Client) -> None:
    video_id = upload(sandbox, "Tea & 'biscuits'")["id"]
    page = httpx.get(f"{sandbox.base_url}/shorts/{video_id}").text
    assert "Tea &amp; &#x27;biscuits&#x27;" in page
    source = re.search(r'<video src="([^"]+)"', page)
    assert source is not None
    assert httpx.get(sandbox.base_url + source[1]).content == BODY
    assert httpx.get(f"{sandbox.base_url}/published/{video_id}").text == page
    assert httpx.get(f"{sandbox.base_url}/shorts/nobody").status_code == 404
    assert httpx.get(f"{sandbox.base_url}/published/nobody.mp4").status_code == 404


def test_a_quota_and_a_token_are_refused_in_googles_shape(sandbox: Client) -> None:
    for fault, code, reason in (("quota_exceeded", 403, "quotaExceeded"), ("token_401", 401, "authError")):
        sandbox.fault(fault, match="A clip")
        answer = sandbox.start_upload("A clip")
        assert (answer.status_code, answer.json()["error"]["errors"][0]["reason"]) == (code, reason)
        assert answer.json()["error"]["code"] == code
    assert sandbox.start_upload("A clip").status_code == 200


def test_a_failed_put_can_be_repeated_and_an_expired_session_not(sandbox: Client) -> None:
    session = sandbox.start_upload().headers["Location"]
    sandbox.fault("upload_500")
    assert [sandbox.google.put(session, content=BODY).status_code for _ in range(2)] == [500, 200]
    session = sandbox.start_upload().headers["Location"]
    sandbox.fault("session_expired")
    assert [sandbox.google.put(session, content=BODY).status_code for _ in range(2)] == [404, 404]
    assert sandbox.google.put(session.split("upload_id=")[0] + "upload_id=x", content=BODY).status_code == 404


def test_an_upload_cut_in_the_middle_goes_on_where_it_stopped(sandbox: Client) -> None:
    session = sandbox.start_upload(size=len(BODY)).headers["Location"]
    sandbox.fault("drop_during_upload", value=0.5)
    before = len(sandbox.books()["videos"])
    with pytest.raises((*CUT, httpx.WriteError)):
        sandbox.google.put(session, content=BODY)
    assert len(sandbox.books()["videos"]) == before
    total = len(BODY)
    held = sandbox.google.put(session, headers={"Content-Range": f"bytes */{total}"})
    assert (held.status_code, held.headers["Range"]) == (308, f"bytes=0-{total // 2 - 1}")
    rest = {"Content-Range": f"bytes {total // 2}-{total - 1}/{total}"}
    assert sandbox.google.put(session, content=BODY[total // 2 :], headers=rest).status_code == 200
    assert sandbox.books()["videos"][-1]["sha256"] == hashlib.sha256(BODY).hexdigest()


def test_a_lost_answer_does_not_publish_twice(sandbox: Client) -> None:
    session = sandbox.start_upload(size=len(BODY)).headers["Location"]
    sandbox.fault("drop_after_publish")
    before = len(sandbox.books()["videos"])
    with pytest.raises(CUT):
        sandbox.google.put(session, content=BODY)
    answer = sandbox.google.put(session, headers={"Content-Range": f"bytes */{len(BODY)}"})
    videos = sandbox.books()["videos"]
    assert answer.status_code == 200
    assert len(videos) == before + 1
    assert videos[-1]["video_id"] == answer.json()["id"]
