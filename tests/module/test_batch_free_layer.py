"""The first layer of a decoder that knows no batch, and what everything else makes of it."""

import inspect

import numpy as np
import pytest
import scvi
import torch
from small_models import SCANVI, SCVI, cells, reference, setup, split, train

from scarches_plus.model import load
from scarches_plus.module import SCANVAE, VAE

COVARIATES = {"categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["age"]}
NETWORK = {"batch_free_decoder_layer": True, "n_layers": 3}


@pytest.fixture(params=[SCVI, SCANVI], ids=lambda cls: cls.__name__)
def cls(request):
    return request.param


def with_covariates(adata):
    adata.obs["donor"] = np.resize(["x", "y", "z"], adata.n_obs)
    adata.obs["age"] = np.linspace(-1, 1, adata.n_obs)
    return adata


def parts(donors=("x", "y")):
    """Reference and query, which has a batch and a donor of its own."""
    adata = with_covariates(cells())
    ref, query = split(adata, "batch2")
    ref.obs["donor"] = np.resize(donors, ref.n_obs)
    return ref, query


def blocks(module, z, batch, donor):
    """Outputs of the decoder's blocks for cells of one latent value, batch and donor."""
    stack, outputs = module.decoder.px_decoder, []
    hooks = [block[3].register_forward_hook(lambda *call: outputs.append(call[2])) for block in stack.fc_layers]
    codes = [torch.full((len(z), 1), code) for code in (batch, donor)]
    with torch.no_grad():
        stack(z, *codes)
    for hook in hooks:
        hook.remove()
    return outputs


@pytest.fixture(scope="module", params=[SCVI, SCANVI], ids=lambda cls: cls.__name__)
def pair(request):
    ref, query = parts()
    return reference(request.param, ref, setup_kwargs={"categorical_covariate_keys": ["donor"]}, **NETWORK), query


class TestNetwork:
    def test_batch_enters_after_the_first_layer(self, cls):
        model = reference(cls, parts()[0], setup_kwargs=COVARIATES, **NETWORK)
        z = torch.randn(5, model.module.n_latent + 1)  # with age
        start = blocks(model.module, z, 0, 0)
        for batch, donor in ((1, 0), (0, 1)):
            other = blocks(model.module, z, batch, donor)
            assert torch.equal(start[0], other[0])
            assert not torch.isclose(start[1], other[1]).all(1).any()
            assert not torch.isclose(start[2], other[2]).all(1).any()
        assert not torch.isclose(start[0], blocks(model.module, z + 1, 0, 0)[0]).all()
        older = z + torch.nn.functional.one_hot(torch.tensor(4), 5)
        assert not torch.isclose(start[0], blocks(model.module, older, 0, 0)[0]).all()

    def test_shapes(self, cls):
        model = reference(cls, parts()[0], setup_kwargs=COVARIATES, **NETWORK)
        shapes = {name: tuple(w.shape) for name, w in model.module.decoder.px_decoder.state_dict().items()}
        assert [shapes[f"fc_layers.Layer {i}.0.weight"] for i in range(3)] == [(12, 5), (12, 16), (12, 16)]

    def test_options_of_the_layers_stay(self):
        options = {"extra_decoder_kwargs": {"activation_fn": torch.nn.ELU, "bias": False}}
        adata = cells()
        setup(SCVI, adata)
        module = SCVI(adata, n_layers=2, use_layer_norm="both", batch_free_decoder_layer=True, **options).module
        first = module.decoder.px_decoder.fc_layers[0]
        assert first[0].bias is None
        assert [type(part) for part in first[1:4]] == [torch.nn.BatchNorm1d, torch.nn.LayerNorm, torch.nn.ELU]

    def test_off_changes_nothing(self, cls):
        adata = cells()
        setup(cls, adata)
        states, losses = [], []
        for build in (cls, getattr(scvi.model, cls.__name__)):
            setup(build, adata)
            scvi.settings.seed = 0
            model = build(adata, n_layers=2, **({"batch_free_decoder_layer": False} if build is cls else {}))
            states.append(model.module.state_dict())
            tensors = next(iter(model._make_data_loader(adata=adata, batch_size=32)))
            torch.manual_seed(1)
            losses.append(model.module(tensors)[2].loss.item())
        assert list(states[0]) == list(states[1])
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_layers": 1}, "needs n_layers of at least 2: the decoder would see no batch"),
            (
                {"deeply_inject_covariates": False},
                "needs deeply_inject_covariates=True: the decoder would see no batch",
            ),
            ({"batch_representation": "embedding"}, "batch_representation='one-hot'"),
        ],
    )
    def test_no_decoder_without_batch(self, options, message):
        adata = cells()
        setup(SCVI, adata)
        with pytest.raises(ValueError, match=message):
            SCVI(adata, **{"n_layers": 2, "batch_free_decoder_layer": True, **options})

    @pytest.mark.parametrize(
        ("ours", "theirs", "of_labels"),
        [
            (VAE, scvi.module.VAE, {}),
            (SCANVAE, scvi.module.SCANVAE, {"n_unobserved": 0, "hierarchy": None, "labels_in_elbo": False}),
        ],
    )
    def test_signature(self, ours, theirs, of_labels):
        added = {"batch_free_decoder_layer": False, "reconstruction_weight": 1.0, "layer_widths": None}
        added |= {"normalize_encoder_input": False} | of_labels
        parameters = dict(inspect.signature(ours).parameters)
        assert {name: parameters.pop(name).default for name in added} == added
        assert parameters == dict(inspect.signature(theirs).parameters)


def first_width(model):
    """How many values the first layer of the decoder takes."""
    return model.module.decoder.px_decoder.state_dict()["fc_layers.Layer 0.0.weight"].shape[1]


class TestModels:
    def test_is_kept(self, cls, tmp_path):
        ref, query = parts()
        model = reference(cls, ref, setup_kwargs=COVARIATES, **NETWORK)
        model.save(tmp_path / "model")
        for again in (load(tmp_path / "model"), load(tmp_path / "model", adata=ref.copy())):
            assert first_width(again) == first_width(model) == 5  # latent variables and age, no batch and no donor
            np.testing.assert_array_equal(again.embed(ref), model.embed(ref))
        mapped = cls.load_query_data(query, tmp_path / "model")
        assert first_width(mapped) == 5
        with pytest.raises(TypeError, match="batch_free_decoder_layer"):  # not silently another network
            getattr(scvi.model, cls.__name__).load(str(tmp_path / "model"), adata=ref.copy())

    def test_scanvi_from_scvi(self):
        adata = cells()
        model = reference(SCVI, adata, setup_kwargs={"labels_key": "cell_type"}, **NETWORK)
        semi = SCANVI.from_scvi_model(model, unlabeled_category="Unknown")
        assert first_width(semi) == first_width(model) == 4
        weights = semi.module.state_dict()
        for name, weight in model.module.state_dict().items():
            assert torch.equal(weights[name], weight)
        train(semi, 1)


class TestSurgery:
    def test_reference_columns_keep_their_place(self, pair):
        model, query = pair
        mapped = type(model).load_query_data(query, model)  # before training
        z = torch.randn(4, model.module.n_latent)
        for batch in range(2):
            for donor in range(2):
                ours = [blocks(one.module, z, batch, donor) for one in (model, mapped)]
                for before, after in zip(*ours, strict=True):
                    torch.testing.assert_close(before, after)

    @pytest.mark.parametrize("strategy", ["condition", "input_layers", "all"])
    def test_trains_what_it_says(self, pair, strategy):
        model, query = pair
        mapped = type(model).load_query_data(query, model, strategy=strategy)
        name = "decoder.px_decoder.fc_layers.Layer {}.0.weight".format
        entries = mapped.surgery.entries
        assert (name(0) in entries) == (strategy != "condition")
        if strategy == "all":
            assert entries[name(0)] is None
            assert entries[name(1)] is None
        else:  # 12 hidden, batches 0, 1 and the query's, donors x, y and the query's
            assert entries.get(name(0)) is None
            assert list(entries[name(1)]) == list(entries[name(2)]) == [1, [14, 17]]
        before = {key: value.clone() for key, value in mapped.module.state_dict().items()}
        train(mapped, 1)
        after = mapped.module.state_dict()
        assert torch.equal(before[name(0)], after[name(0)]) == (strategy == "condition")
        assert not torch.equal(before[name(1)][:, [14, 17]], after[name(1)][:, [14, 17]])
        assert torch.equal(before[name(1)][:, [12, 13, 15, 16]], after[name(1)][:, [12, 13, 15, 16]]) == (
            strategy != "all"
        )

    def test_reference_does_not_move(self, pair):
        model, query = pair
        mapped = train(type(model).load_query_data(query, model), 1)
        assert np.abs(mapped.embed(model.adata) - model.embed(model.adata)).max() == 0.0

    def test_blind_encoder(self, cls):
        ref, query = split(cells(), "batch2")
        model = reference(cls, ref, encode_covariates=False, **NETWORK)
        with pytest.raises(ValueError, match="does not see the batch"):
            cls.load_query_data(query, model)
        for strategy in ("input_layers", "all"):
            mapped = cls.load_query_data(query, model, strategy=strategy)
            start = mapped.embed(query)
            np.testing.assert_array_equal(start, model.embed(query))
            train(mapped, 1)
            assert np.abs(mapped.embed(query) - start).max() > 1e-5

    def test_both_engines(self, pair):
        model, query = pair
        embedded = []
        for engine in ("fast", "scvi"):
            scvi.settings.seed = 1
            embedded.append(train(type(model).load_query_data(query, model), 30, engine=engine).embed(query))
        start = type(model).load_query_data(query, model).embed(query)
        moved = np.abs(embedded[1] - start).mean()
        assert np.abs(embedded[0] - embedded[1]).mean() < moved
