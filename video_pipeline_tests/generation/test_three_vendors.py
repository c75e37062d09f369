"""A day with all of the sandbox's vendors: who makes what, and who takes what another has refused."""

import pytest

from video_pipeline.clips import ClipStatus
from video_pipeline.feedback import providers_of_day
from video_pipeline.ledger import Ledger
from video_pipeline.policy import Policy
from video_pipeline.routing import Catalogue, load_sandbox_vendors_catalogue
from video_pipeline.storage import LocalStore
from video_pipeline_tests.contract.edge import Edge
from video_pipeline_tests.contract.orders import brief_of
from video_pipeline_tests.generation.stage import Stage, quick


@pytest.fixture
def stage(ledger: Ledger, edge: Edge, sandbox_catalogue: Catalogue, policy: Policy, tmp_path_factory) -> Stage:
    catalogue = sandbox_catalogue.joined(load_sandbox_vendors_catalogue())
    store = LocalStore(tmp_path_factory.mktemp("store"))
    return Stage(ledger, store, edge, catalogue, quick(policy), providers=("fal", "xai", "comfyui"))


def test_drafts_are_the_own_gpus_and_what_one_vendor_refuses_another_takes(stage: Stage) -> None:
    draft = brief_of("a harbour at dawn", brief_id="draft")
    bar = brief_of(
        "cocktail glasses on a bar", brief_id="bar", quality="standard", broll=["a cocktail, seen from above"]
    )
    for brief in (draft, bar):
        assert stage.one(brief).status is ClipStatus.GENERATED
    own, fal, xai = providers_of_day(stage.jobs())
    assert (own.provider, own.own_gpu, own.made, own.refused) == ("comfyui", True, 1, 0)
    assert (fal.provider, fal.made) == ("fal", 0)
    assert fal.refused == fal.asked > 1
    assert (xai.provider, xai.made, xai.rescued, xai.refused_elsewhere) == ("xai", 1, {"other_model": 1}, 1)
    assert xai.usd == xai.rescued_usd > 0
    stage.check_books()
