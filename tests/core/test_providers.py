from __future__ import annotations

from pathlib import Path

import pytest

from journeyman.core.errors import SettingsError
from journeyman.core.providers import Provider, find_price
from journeyman.core.settings import FILE_NAME, Project, load_project

OTHER = """
[providers.other]
url = "https://llm.example.org/v1"
api_key_env = "OTHER_KEY"
input_usd_per_million = 1
output_usd_per_million = 4.5
[providers.other.models]
"gpt-5*" = {input_usd_per_million = 1.25, output_usd_per_million = 10}
"gpt-5-nano" = {input_usd_per_million = 0.05, output_usd_per_million = 0.4}
"""


def load(folder: Path, text: str) -> Project:
    (folder / FILE_NAME).write_text(text)
    return load_project(folder)


def test_a_provider_has_a_section_and_its_models_a_prefix(tmp_path: Path) -> None:
    project = load(
        tmp_path, OTHER + '[providers.mistral]\nkind = "any-llm"\n[providers.anthropic]\napi_key_env = "MINE"\n'
    )
    other, model = project.find_provider("other/org/gpt-5")
    assert (other.url, other.key_name, other.kind, model) == (
        "https://llm.example.org/v1",
        "OTHER_KEY",
        "openai",
        "org/gpt-5",
    )
    assert other.price == (1, 4.5)
    mistral = project.find_provider("mistral/small")[0]
    assert (mistral.kind, mistral.service, mistral.url, mistral.key_name) == ("any-llm", "mistral", "", "")
    claude = project.find_provider("anthropic/claude-x")
    assert claude == (Provider("anthropic", "https://api.anthropic.com/v1", "MINE", "anthropic"), "claude-x")
    assert project.find_provider("other/")[0].name == "teacher"


def test_the_longest_pattern_has_the_price_and_the_name_itself_before_all(tmp_path: Path) -> None:
    prices = load(tmp_path, OTHER).providers["other"].prices
    assert find_price(prices, "gpt-5-mini") == (1.25, 10)
    assert find_price(prices, "gpt-5-nano") == (0.05, 0.4)
    assert find_price({**prices, "*": (9.0, 9.0)}, "gpt-5-mini") == (1.25, 10)
    assert find_price(prices, "o3") is None


def test_settings_without_providers_mean_what_they_meant(tmp_path: Path) -> None:
    """A slash in a name is the provider's own, also after anthropic where the address is stated."""
    text = '[teacher]\nmodel = "openai/gpt-5"\ninput_usd_per_million = 2\noutput_usd_per_million = 8\n'
    project = load(tmp_path, text)
    assert project.find_provider("openai/gpt-5") == (
        Provider("teacher", "https://api.openai.com/v1", "OPENAI_API_KEY", price=(2, 8)),
        "gpt-5",
    )
    assert project.find_provider("meta/llama")[1] == "meta/llama"
    project = load(tmp_path, '[teacher]\nmodel = "anthropic/claude-x"\nurl = "https://router.example.org/v1"\n')
    provider, model = project.find_provider("anthropic/claude-x")
    assert (provider.kind, provider.url, model) == ("openai", "https://router.example.org/v1", "anthropic/claude-x")


def test_a_teacher_of_anthropic_needs_nothing_but_its_name(tmp_path: Path) -> None:
    text = '[teacher]\nmodel = "anthropic/claude-x"\ninput_usd_per_million = 3\noutput_usd_per_million = 15\n'
    provider, model = load(tmp_path, text).find_provider("anthropic/claude-x")
    assert (provider.kind, provider.url, model) == ("anthropic", "https://api.anthropic.com/v1", "claude-x")
    assert (provider.key_name, provider.price) == ("ANTHROPIC_API_KEY", (3, 15))
    provider, _ = load(tmp_path, f'{text}api_key_env = "MINE"\n').find_provider("anthropic/claude-x")
    assert provider.key_name == "MINE"
    text = '[teacher]\nmodel = "gpt-5"\ninput_usd_per_million = 3\noutput_usd_per_million = 15\n'
    provider, _ = load(tmp_path, text).find_provider("anthropic/claude-x")
    assert provider.price is None  # that price is another model's


def test_models_of_the_teachers_provider_have_prices_too(tmp_path: Path) -> None:
    text = '[teacher]\nmodel = "gpt-5"\n[teacher.models]\n"gpt-5-*" = {input_usd_per_million = 1, output_usd_per_million = 2}\n'
    provider, _ = load(tmp_path, text).find_provider("gpt-5")
    assert find_price(provider.prices, "gpt-5-mini") == (1, 2)


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ('[providers.other]\nurl = "https://x/v1"\nprize = 1\n', "JM-103", "providers.other.prize"),
        ("[providers.other]\nurl = 5\n", "JM-104", "text"),
        ('[providers.other]\nkind = "openai"\n', "JM-104", "an address"),
        ('[providers.other]\nurl = "llm.example.org"\n', "JM-104", "an address"),
        ('[providers.other]\nurl = "https://ada:secret@x/v1"\n', "JM-104", "without a name or password"),
        ('[providers.other]\nurl = "file:///etc/passwd"\n', "JM-104", "an address"),
        ('[providers.other]\nurl = "https://x/v1"\nkind = "cohere"\n', "JM-104", "openai | anthropic | any-llm"),
        ('[providers.teacher]\nurl = "https://x/v1"\n', "JM-104", "not teacher"),
        ("[providers]\nother = 1\n", "JM-104", "a section"),
        ("providers = 1\n", "JM-104", "a section"),
        ('[providers.other]\nurl = "https://x/v1"\ninput_usd_per_million = "1"\n', "JM-104", "a number"),
        ('[providers.other]\nurl = "https://x/v1"\noutput_usd_per_million = -1\n', "JM-104", "a number"),
        ("[teacher]\nmodels = 5\n", "JM-104", "a table"),
        ('[teacher.models]\n"*" = {input_usd_per_million = 1}\n', "JM-104", "output_usd_per_million"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, code: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert caught.value.code == code
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
