"""One TOML file says everything about a run, or is refused in a sentence."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.conftest import REPOSITORY
from training.degradations import PIPELINES
from training.errors import SettingsError
from training.settings import Settings, read_settings

RUNS = sorted((REPOSITORY / "training/runs").glob("*.toml"))


@pytest.fixture
def read(tmp_path):
    """Settings from the text of a file, and from values given on the command line."""

    def read_text(text, **overrides):
        path = tmp_path / "mine.toml"
        path.write_text(text, "utf-8")
        return read_settings(path, {key.replace("__", "."): value for key, value in overrides.items()})

    return read_text


def refusal(read, text, **overrides):
    """What is said about a file that cannot be followed: one sentence, on one line."""
    with pytest.raises(SettingsError) as caught:
        read(text, **overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_every_run_in_the_repository_can_be_followed(path):
    assert read_settings(path).name == path.stem


def test_an_empty_file_gives_the_defaults_and_the_name_of_the_file(read):
    assert read("") == Settings(name="mine")


def test_what_the_file_says_comes_through_with_its_types(read):
    settings = read(
        "[data]\nsizes = [1, 0.5]\n[data.degradations]\nclean = 1\nlight = 0.5\n[train]\nlr = 1\nsteps = 3\n"
    )
    assert settings.data.sizes == (1.0, 0.5)
    assert settings.data.degradations == {"clean": 1.0, "light": 0.5}
    assert (settings.train.lr, settings.train.steps) == (1.0, 3)
    assert isinstance(settings.train.lr, float)


def test_the_command_line_wins_over_the_file(read):
    settings = read("[train]\nsteps = 3", train__steps="5", data__pictures="my photos", train__keep_noise="true")
    assert (settings.train.steps, settings.data.pictures, settings.train.keep_noise) == (5, "my photos", True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[train]\nstepz = 3", "train: there is no stepz; there are folder, steps, batch"),
        ("[trein]\nsteps = 3", "there is no trein; there are name, licence, data, teacher, network, losses, train"),
        ("train = 3", "train is a section"),
        ("[train]\nsteps = 'many'", "train: steps should be int, not 'many'"),
        ("[train]\nsteps = true", "train: steps should be int, not True"),
        ("[train]\nsteps = 1.5", "train: steps should be int, not 1.5"),
        ("[train]\nkeep_noise = 1", "train: keep_noise should be bool, not 1"),
        ("[train]\ndtype = 'float16'", 'train.dtype is "bfloat16" or "float32", not \'float16\''),
        ("[train]\ndevice = 'tpu'", 'train.device is "auto", "cpu" or "cuda", not \'tpu\''),
        ("[train]\nsteps = 0", "train.steps must be at least 1, not 0"),
        ("[train]\nlog_every = 0", "train.log_every must be at least 1, not 0"),
        ("[train]\nbatch = -4", "train.batch must be at least 1, not -4"),
        ("[train]\nlr = -1e-4", "train.lr must be from 1e-12 to 1, not -0.0001"),
        ("[train]\nlr = nan", "train.lr must be from 1e-12 to 1, not nan"),
        ("[train]\nema = 1.5", "train.ema must be from 0 to 1, not 1.5"),
        ("[train]\ncrop = 4", "train.crop must be from 8 to 1024, not 4"),
        ("[train]\nmargin = -1", "train.margin must be from 0 to 1024, not -1"),
        ("[train]\nclip = 0.0", "train.clip must be at least 1e-12, not 0.0"),
        ("[train]\nseed = -1", "train.seed must be from 0 to 9.22337e+18, not -1"),
        ("[train]\ncrop = 96", "a crop of 96 px with a margin of 6 px does not fit into degraded patches of 96 px"),
        ("[network]\nnum_feat = 0", "network.num_feat must be from 1 to 1024, not 0"),
        ("[network]\nnum_conv = -1", "network.num_conv must be from 1 to 256, not -1"),
        ("[data]\nside = 66", "data.side must divide by 4, 66 does not"),
        ("[data]\nside = 32", "data.side must be from 64 to 4096, not 32"),
        ("[data]\npatches = 0", "data.patches must be at least 1, not 0"),
        ("[data]\nvalidation = 1.0", "data.validation must lie between 0 and 1, not at 1.0"),
        ("[data]\nsizes = []", "data.sizes needs factors above 0 and at most 4, not []"),
        ("[data]\nsizes = [0.5, 5.0]", "data.sizes needs factors above 0 and at most 4, not [0.5, 5.0]"),
        ("[data]\nsizes = [0.5, 2.0]", "data.sizes above 1 give patches without a truth, which need teacher.model"),
        ("[data]\nsizes = 0.5", "data: sizes should be a list, not 0.5"),
        ("[data]\ndegradations = 'clean'", "data: degradations should be a section, not 'clean'"),
        ("[data.degradations]\nrain = 1.0", "data.degradations: no rain; there are clean, blur-noise-jpeg, light"),
        ("[data.degradations]\nclean = 0", "data.degradations: weights are 0 or more, and one of them must be more"),
        ("[data.degradations]\nclean = -1", "data.degradations: weights are 0 or more, and one of them must be more"),
        ("[losses]\ngt = -1", "losses.gt must be from 0 to 1e+06, not -1.0"),
        ("[losses]\ngt = 0", "losses: one of gt, teacher, gradient, spectrum, perceptual must be more than 0"),
        ("[losses]\nreal = 'me'", 'losses.real is "gt" or "teacher", not \'me\''),
        ("[losses]\nteacher = 1", "losses.teacher needs teacher.model"),
        ("[losses]\nperceptual = 1", "losses.perceptual needs losses.vgg19"),
        ("[losses]\nadversarial = 1\nreal = 'teacher'", 'losses.real = "teacher" needs teacher.model'),
        ("[losses]\nadversarial = 1\n[train]\ncrop = 41", "train.crop must be even for the discriminator, 41 is not"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused_in_a_sentence(read, text, words):
    assert words in refusal(read, text)


def test_a_file_that_is_no_toml_is_named(read, tmp_path):
    assert refusal(read, "steps 3").startswith(f"{tmp_path / 'mine.toml'} is no settings file: ")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere\.toml is no settings file"):
        read_settings(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("key", ["train.lr.high", "data.sizes.first", "name.x"])
def test_a_value_inside_of_a_value_is_refused(read, key):
    place = key.split(".")[-2]
    assert f"{key}: {place} is no section" in refusal(
        read, "name = 'x'\n[train]\nlr = 0.1\n[data]\nsizes = [1.0]", **{key.replace(".", "__"): "1"}
    )


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_runs_in_the_repository_say_nothing_of_anybodys_machine(path):
    table = tomllib.loads(path.read_text("utf-8"))
    paths = [value for section in table.values() if isinstance(section, dict) for value in section.values()]
    assert not [value for value in paths if isinstance(value, str) and value.startswith(("/", "..", "~"))]


def test_both_ends_of_denoise_are_of_one_layout_and_learn_from_the_same_patches():
    soft, detail = (read_settings(REPOSITORY / f"training/runs/{name}.toml") for name in ("compact", "detail"))
    assert detail.data == soft.data
    assert detail.teacher == soft.teacher
    assert (detail.network.num_feat, detail.network.num_conv) == (soft.network.num_feat, soft.network.num_conv)
    assert (soft.train.keep_noise, detail.train.keep_noise) == (False, True)
    assert detail.train.folder != soft.train.folder
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    assert f"export training/runs/compact.toml {detail.network.start}\n" in makefile


def test_the_documentation_explains_every_setting_and_every_pipeline():
    page = (REPOSITORY / "docs/training.md").read_text("utf-8")
    settings = Settings(name="")
    for section in ("data", "teacher", "network", "losses", "train"):
        table = page.partition(f"| `[{section}]` |")[2].partition("\n\n")[0]
        keys = {
            key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
        }
        assert keys == set(vars(getattr(settings, section))), section
    named = set(re.findall(r"^\| `([a-z -]+)` \|", page, re.MULTILINE))
    assert set(PIPELINES) <= named
