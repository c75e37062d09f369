"""Pictures of our own store as a provider gets them."""

import asyncio
import base64
import io
from pathlib import Path

from PIL import Image

from video_pipeline.generation.own_pictures import STORED, PictureSender
from video_pipeline.orders import Orientation, RenderOrder
from video_pipeline.storage import LocalStore
from video_pipeline_tests.ledger.rows import a_job

TURNED = 6  # EXIF's word for a camera that was held upright.


def _shown(uri: str) -> Image.Image:
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_photo_is_handed_over_as_its_camera_was_held(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    picture, exif, data = Image.new("RGB", (640, 400), "red"), Image.Exif(), io.BytesIO()
    exif[0x0112] = TURNED
    picture.save(data, "JPEG", exif=exif)
    store.put_bytes("references/a.jpg", data.getvalue(), content_type="image/jpeg")
    order = RenderOrder(prompt="a harbour", orientation=Orientation.PORTRAIT, references=("references/a.jpg",))
    job = a_job(order=order, request={"pictures": ["references/a.jpg"], "words": "references/a.jpg is a key"})
    sent = asyncio.run(PictureSender(store).handed_over(job))
    assert _shown(sent.request["pictures"][0]).size == (400, 640)
    assert sent.request["words"] == "references/a.jpg is a key"
    assert job.request["pictures"] == ["references/a.jpg"], "the ledger's own request stays as it is"


def test_a_frame_to_start_from_goes_out_in_order_and_request(tmp_path: Path) -> None:
    store, data = LocalStore(tmp_path), io.BytesIO()
    Image.new("RGB", (64, 36), "blue").save(data, "PNG")
    store.put_bytes("frames/b.png", data.getvalue(), content_type="image/png")
    frame = f"{STORED}frames/b.png"
    order = RenderOrder(prompt="a harbour", orientation=Orientation.PORTRAIT, start_image=frame)
    sent = asyncio.run(PictureSender(store).handed_over(a_job(order=order, request={"image_url": frame})))
    uri = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    assert sent.order.start_image == sent.request["image_url"] == uri
