"""A vendor is its own file and a line in a table: no other code names one, and one from outside is added alike."""

import re
from pathlib import Path

import httpx
import pytest
import yaml

import video_pipeline
from video_pipeline.errors import ConfigurationError
from video_pipeline.generation import PROVIDERS, check_wires
from video_pipeline.generation.serving import can_anchor
from video_pipeline.policy import load_policy
from video_pipeline.publishing import PLATFORMS
from video_pipeline.routing import Catalogue, RoutingState
from video_pipeline.sandbox.wires import WIRES
from video_pipeline.services import Services
from video_pipeline.settings import Mode, Settings
from video_pipeline_tests.contract import kiln, plaza
from video_pipeline_tests.contract.orders import brief_of, plan_of
from video_pipeline_tests.contract.vendors import sold_by_kiln

pytestmark = pytest.mark.usefixtures("vendors_from_outside")

PACKAGE = Path(video_pipeline.__file__).parent
# The tables, and history: a migration tells what the ledger of its time held.
TABLES = {"generation/providers/registry.py", "publishing/platforms/registry.py", "sandbox/wires/__init__.py"}
HISTORY = "ledger/migrations/versions/"
# Those that there are, and others of the field that might be next.
NAMES = re.compile(
    r"(?<![a-z])(fal|youtube|instagram|tiktok|higgsfield|runway|runwayml|xai|grok|dashscope|heygen|comfyui|kling|vidu|seedance|veo)"
    r"(?![a-z])",
    re.IGNORECASE,
)


def _vendor_files() -> set[str]:
    """The files that the tables' entries come from."""
    entries = [
        *(vendor.translate.__self__.request for vendor in PROVIDERS.values()),
        *(vendor.connect for vendor in PLATFORMS.values()),
        *WIRES.values(),
    ]
    modules = {entry.__module__ for entry in entries if entry.__module__.startswith("video_pipeline.")}
    return {f"{module.removeprefix('video_pipeline.').replace('.', '/')}.py" for module in modules}


def _no_keys(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """No vendor is connected, whatever the environment of the tests says."""
    monkeypatch.chdir(folder)
    for vendor in (*PROVIDERS.values(), *PLATFORMS.values()):
        for key in vendor.section.keys():  # noqa: SIM118  # a section is no mapping
            monkeypatch.delenv(key, raising=False)


def _live(folder: Path, *, catalogue_file: Path | None = None) -> Services:
    settings = Settings(
        _env_file=None,  # pyright: ignore[reportCallIssue]  # pydantic-settings takes it beside the fields
        mode=Mode.LIVE,
        state_dir=folder / "state",
        catalogue_file=catalogue_file,
    )
    return Services(settings)


def _naming(text: str) -> list[str]:
    return sorted({match.lower() for match in NAMES.findall(text)})


def test_no_code_but_a_vendors_own_and_the_tables_names_a_vendor() -> None:
    code = {str(path.relative_to(PACKAGE)): path for kind in ("*.py", "*.html") for path in PACKAGE.rglob(kind)}
    own = _vendor_files()
    assert own <= set(code) and len(own) >= 6
    naming = {
        name: _naming(path.read_text())
        for name, path in code.items()
        if name not in own | TABLES and not name.startswith(HISTORY)
    }
    assert {name: found for name, found in naming.items() if found} == {}


@pytest.mark.parametrize("line", ["if provider == 'fal':", "youtube_key: SecretStr", "# Kling wants seconds as text"])
def test_a_vendor_that_is_named_would_be_seen(line: str) -> None:
    assert _naming(line)
    assert not _naming("the fallback of a default, a tubeless false value")


def test_every_vendor_stands_in_its_table_under_its_own_name() -> None:
    for table in (PROVIDERS, PLATFORMS, WIRES):
        assert all(name == entry.name for name, entry in table.items())


def test_a_catalogue_may_sell_through_a_provider_from_outside(sandbox_catalogue: Catalogue) -> None:
    sold = sold_by_kiln(sandbox_catalogue)
    assert check_wires(sold) is sold
    wrong = sold.models[0].model_copy(update={"wire": {"endpoint": "x"}})
    with pytest.raises(ConfigurationError, match=r"wire: model: Field required; endpoint: Extra inputs"):
        check_wires(sold.model_copy(update={"models": (wrong, *sold.models[1:])}))


def test_live_only_models_of_connected_providers_are_routed_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sandbox_catalogue: Catalogue
) -> None:
    first, *others = sandbox_catalogue.models
    mixed = sandbox_catalogue.model_copy(update={"models": (sold_by_kiln(sandbox_catalogue).models[0], *others)})
    path = tmp_path / "catalogue.yaml"
    path.write_text(yaml.safe_dump(mixed.model_dump(mode="json")))
    _no_keys(monkeypatch, tmp_path)
    assert _live(tmp_path, catalogue_file=path).catalogue == mixed, "a plan needs no keys"
    monkeypatch.setenv("KILN_TOKEN", "k")
    routed = _live(tmp_path, catalogue_file=path).catalogue
    assert [model.model for model in routed.models] == [first.model]
    plan = plan_of(brief_of("a harbour"), routed, load_policy())
    [decision] = plan.decisions
    assert decision.model == first.model
    anchored = can_anchor(plan, decision, [], routed, load_policy().routing, RoutingState())
    assert not anchored, "its picture model is the other provider's"
    nothing = tmp_path / "nothing.yaml"
    nothing.write_text(yaml.safe_dump(sandbox_catalogue.model_dump(mode="json")))
    with pytest.raises(ConfigurationError, match="No model of the catalogue sandbox is sold by kiln"):
        _ = _live(tmp_path, catalogue_file=nothing).catalogue


def test_a_vendor_from_outside_is_connected_by_its_own_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing but its file and its line: the composition root reads its section and connects it."""
    _no_keys(monkeypatch, tmp_path)
    monkeypatch.setenv("KILN_TOKEN", "k")
    monkeypatch.setenv("PLAZA_TOKEN", "p")
    services = _live(tmp_path)
    assert set(services.providers(httpx.AsyncClient())) == {kiln.VENDOR.name}
    assert [name for name, platform in services.platforms.items() if platform.connected] == [plaza.VENDOR.name]
    monkeypatch.delenv("KILN_TOKEN")
    with pytest.raises(ConfigurationError, match="KILN_TOKEN for kiln"):
        services.providers(httpx.AsyncClient())


def _addresses() -> list[tuple[str, str]]:
    """Each vendor's name and the field of each address of its in the settings."""
    sections = {name: vendor.section for name, vendor in (PROVIDERS | PLATFORMS).items()}
    fields = [(name, field) for name, section in sections.items() for field in section.model_fields]
    return [(name, field) for name, field in fields if field == "url" or field.endswith("_url")]


def test_the_vendors_have_addresses() -> None:
    assert {("fal", "queue_url"), ("comfyui", "url"), ("youtube_shorts", "token_url")} <= set(_addresses())


@pytest.mark.parametrize(("vendor", "field"), _addresses())
@pytest.mark.parametrize(
    "address",
    [
        "gpu-machine:8188",
        "ftp://gpu",
        "http://u:p@gpu",
        "https://gpu/?a=b",
        "https://",
        "http://gpu:port",
        "http://gpu:81880",
        "http://[gpu",
        "http://gpu 8188",
    ],
)
def test_an_address_that_is_none_is_a_sentence_before_anything_is_asked(
    vendor: str, field: str, address: str
) -> None:
    of = (PROVIDERS | PLATFORMS)[vendor]
    info = of.section.model_fields
    wanted = of.section.keys()
    keys = {name: "x" for name, each in info.items() if str(each.validation_alias) in wanted}
    section = of.section(**keys | {field: address})
    with pytest.raises(ConfigurationError, match=f"{info[field].validation_alias} is no address of a server") as told:
        if vendor in PLATFORMS:
            PLATFORMS[vendor].connect(section)
        else:
            provider = PROVIDERS[vendor]
            provider.connect(section, httpx.AsyncClient())
            assert provider.webhook is not None
            provider.webhook.keys_url(section)
    assert "u:p" not in str(told.value)
