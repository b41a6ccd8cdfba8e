"""URLs in place of paths are refused before anything is read or written."""

from pathlib import Path

import pytest

from tune_ad.app.command_line import cli
from tune_ad.app.command_line.options import Options
from tune_ad.data.finding import ROOT_VARIABLE, data_root
from tune_ad.errors import UserError
from tune_ad.local_paths import local_path
from tune_ad.models.estimator import AnomalyDetector
from tune_ad.models.export import export

URLS = (
    *("s3://b/p", "gs://b/p", "memory://", "memory:///x", "file:///x", "file:/x", "hf://a/b"),
    *("https://host/x", "abfs://c@account.dfs.core/x", "git+ssh://host/x", "S3://b"),
    "simplecache::s3://b/p",
)
PATHS = ("results", "./s3", "/tmp/a:b", "C:", "a:b/c", "mine.py:mine_mnist", "x/s3://b", "~/x")
SEARCH = ("--search", "quickstart", "--backend", "serial")
COMMANDS = {
    "results": (*SEARCH, "--results", "URL"),
    "data_root": (*SEARCH, "--data-root", "URL"),
    "data": ("--search", "vae", "--data", "URL"),
    "search": ("--search", "URL"),
    "search_file": ("--search", "URL/mine.py:mine_mnist"),
    "detector": (*SEARCH, "--detector", "URL/mine.py:Mine"),
    "results_of_reports": ("--report", "quickstart", "--results", "URL"),
    "report": ("--report", "quickstart", "URL"),
    "serve": ("--serve", "URL"),
    "compare": ("--compare", "URL", "quickstart"),
    "score": ("--score", "URL", "--input", "a", "--output", "b"),
    "input": ("--score", "a", "--input", "URL", "--output", "b"),
    "output": ("--score", "a", "--input", "b", "--output", "URL"),
    "heatmaps": ("--score", "a", "--input", "b", "--output", "c", "--heatmaps", "URL"),
    "export": ("--export", "URL", "--output", "a.onnx"),
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each test begins in an empty folder, and leaves it empty."""
    monkeypatch.chdir(tmp_path)
    yield
    assert [*tmp_path.iterdir()] == []


def is_refusal(line, url):
    fault = f"must be a path of this machine, got the URL '{url}"
    return fault in line and line.endswith(
        "; mount its folder and give that path, or copy the files"
    )


@pytest.mark.parametrize("url", URLS)
def test_urls_are_refused_in_one_line(url):
    for path in (url, Path(url)):  # pathlib makes one / of two
        with pytest.raises(UserError) as refusal:
            local_path(path, "--results")
        assert is_refusal(str(refusal.value), path)
        assert str(refusal.value).startswith("--results must ")


@pytest.mark.parametrize("path", PATHS)
def test_other_paths_are_left_alone(path):
    assert local_path(path) == Path(path)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("url", ["s3://b/p", "memory://", "file:///x"])
def test_every_option_that_is_a_path_refuses_them(command, url, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([word.replace("URL", url) for word in command])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert is_refusal(line, url)
    flag = command[next(k for k, word in enumerate(command) if "URL" in word) - 1]
    assert line.startswith(f"error: {flag if flag.startswith('--') else '--report'} must ")


@pytest.mark.parametrize("name", ["results", "data_root", "data"])
def test_options_of_a_program_refuse_them(name):
    value = Path("s3://b/p") if name == "results" else "s3://b/p"
    with pytest.raises(UserError, match=f"--{name.replace('_', '-')} must be a path of this"):
        Options("quickstart" if name != "data" else "vae_mnist", **{name: value})


def test_the_variable_of_the_data_sets_refuses_them(monkeypatch):
    monkeypatch.setenv(ROOT_VARIABLE, "s3://b/p")
    with pytest.raises(UserError) as refusal:
        data_root()
    assert is_refusal(str(refusal.value), "s3://b/p")
    assert str(refusal.value).startswith(ROOT_VARIABLE)


@pytest.mark.parametrize(
    "call",
    [
        lambda url: AnomalyDetector.load(url),
        lambda url: export(url, "model.onnx"),
        lambda url: export("best", f"{url}/model.onnx"),
    ],
)
def test_kept_models_refuse_them(call):
    with pytest.raises(UserError, match="must be a path of this machine, got the URL 's3:/"):
        call("s3://b/p")
