"""github.com/heykeetae/Self-Attention-GAN, its own modules from a clone: see `contest.py`.

"as written" is the step of its trainer.py with hinge loss. "tuned" is what can be had by hand:
no gradients through the fakes of the discriminator's step, a frozen discriminator in the
generator's, PyTorch's own spectral norm, channels-last; "compiled" adds torch.compile.
"""

import itertools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lockstep
import torch
from peers import torch_parity, torch_tools
from take_turns import take_turns


def prepare(settings):
    """Returns the task that the settings name."""
    sys.path.insert(0, settings["clone"])
    torch.manual_seed(0)
    tasks = {
        "train_step": train_step,
        "sample": sample,
        "attention": attention,
        "parity": parity,
    }
    return torch_tools.answer(tasks[settings["task"]](settings))


def networks(settings):
    """Returns its generator and discriminator on the device, tuned if asked for."""
    import sagan_models

    plain = settings["family"] == "dcgan" and not settings["classes"] and not settings["attention"]
    if not (plain and settings["image_size"] == 64 and settings["width"] == 64):
        sys.exit("heykeetae has a DCGAN of 64x64 pictures, width 64, without classes alone")
    size, batch, width = settings["image_size"], settings["batch_size"], settings["width"]
    device = torch_tools.device()
    generator = sagan_models.Generator(batch, size, settings["latent_dim"], width).to(device)
    discriminator = sagan_models.Discriminator(batch, size, width).to(device)
    if settings["variant"] == "as written":
        return generator, discriminator
    models = [
        _with_own_spectral_norm(model).to(memory_format=torch.channels_last)
        for model in (generator, discriminator)
    ]
    if settings["variant"] == "compiled":
        models = [torch.compile(model) for model in models]
    return models


def _with_own_spectral_norm(model):
    from spectral import SpectralNorm

    def plain(module):
        conv = module.module
        weight = conv.weight_bar.detach().clone()
        for name in ("weight_u", "weight_v", "weight_bar"):
            del conv._parameters[name]
        conv.__dict__.pop("weight", None)
        conv.weight = torch.nn.Parameter(weight)
        return conv

    torch_tools.with_own_spectral_norm(model, lambda m: isinstance(m, SpectralNorm), plain)
    return model


def train_step(settings):
    """One update of each network."""
    generator, discriminator = networks(settings)
    device, batch = torch_tools.device(), settings["batch_size"]
    adam = {"betas": (0.0, 0.9)}
    g_optimizer = torch.optim.Adam(
        [p for p in generator.parameters() if p.requires_grad], 1e-4, **adam
    )
    d_optimizer = torch.optim.Adam(
        [p for p in discriminator.parameters() if p.requires_grad], 4e-4, **adam
    )
    size = settings["image_size"]
    images = torch.rand(batch, 3, size, size, device=device) * 2 - 1

    def forward(model, x):
        with torch_tools.autocast(settings["precision"]):
            return model(x)[0].float()

    def generate():
        return forward(generator, torch.randn(batch, settings["latent_dim"], device=device))

    if settings["variant"] != "as written":
        return torch_tools.hinge_step(
            generate,
            lambda x: torch.cat([forward(discriminator, part) for part in x.split(batch)]),
            (g_optimizer, d_optimizer),
            (generator, discriminator),
            images.to(memory_format=torch.channels_last),
        )

    def reset_grad():
        d_optimizer.zero_grad()
        g_optimizer.zero_grad()

    def step():
        real = forward(discriminator, images)
        fake = forward(discriminator, generate())
        loss = torch.relu(1.0 - real).mean() + torch.relu(1.0 + fake).mean()
        reset_grad()
        loss.backward()
        d_optimizer.step()
        loss = -forward(discriminator, generate()).mean()
        reset_grad()
        loss.backward()
        g_optimizer.step()

    return step


def sample(settings):
    """A batch of pictures, as uint8 on the host."""
    generator, _ = networks(settings)
    generator.eval()

    def generate():
        with torch_tools.autocast(settings["precision"]):
            latent = torch.randn(
                settings["batch_size"], settings["latent_dim"], device=torch_tools.device()
            )
            return generator(latent)[0].float()

    return torch_tools.sample_task(generate)


def attention(settings):
    """Its attention module on a map, forward, or with the gradients of all inputs and weights."""
    from sagan_models import Self_Attn

    if settings["form"] != "first":
        sys.exit("heykeetae's attention has no pooling: it has the first form alone")
    module = Self_Attn(settings["shape"][-1], "relu").to(torch_tools.device())
    return torch_tools.attention_task(module, settings)


def parity(settings):
    """The steps of its trainer.py with hinge loss, each written down: see `parity.py`."""
    generator, discriminator = models = networks({**settings, "variant": "as written"})
    normalized = [[m for m in model.modules() if hasattr(m, "_update_u_v")] for model in models]

    def converge():
        for owner in (m.module for m in itertools.chain(*normalized)):
            vectors = torch_parity.first_singular_vectors(owner.weight_bar)
            owner.weight_u.data, owner.weight_v.data = (vector.float() for vector in vectors)

    by_name = {"generator": generator, "discriminator": discriminator}
    torch_parity.begin(settings, by_name, converge)
    if "u" in settings["as_ours"]:
        owners = [m.module for m in normalized[1]]
        torch_parity.keep_vectors(discriminator, owners, ("weight_u", "weight_v"), calls=3)
    if "gradient" in settings["as_ours"]:
        for module in itertools.chain(*normalized):
            module.register_forward_pre_hook(_with_new_vectors)
    if "variance" in settings["as_ours"]:
        norms = [m for m in generator.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        torch_parity.divide_variances_by_count(norms, "running_var")
    return lockstep.turns(settings, _steps(settings, by_name))


def _with_new_vectors(normalized, _):
    """Leaves the vectors of the last call to its own gradient: this one changes their data."""
    for name in ("weight_u", "weight_v"):
        value = getattr(normalized.module, name).data.clone()
        setattr(normalized.module, name, torch.nn.Parameter(value, requires_grad=False))


def _steps(settings, by_name):
    generator, discriminator = by_name["generator"], by_name["discriminator"]
    fed = lockstep.inputs(settings)
    optimizers = {
        network: torch.optim.Adam(
            [p for p in model.parameters() if p.requires_grad], rate, betas=(0.0, 0.9)
        )
        for (network, model), rate in zip(by_name.items(), (1e-4, 4e-4), strict=True)
    }

    def update(network, loss):
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        loss.backward()
        optimizers[network].step()

    def logits_of_fakes(latents):
        return discriminator(generator(torch_parity.tensors(settings, latents))[0])[0]

    yield torch_parity.arrays(by_name)
    for step in range(1, len(fed["images"])):
        real = discriminator(torch_parity.tensors(settings, fed["images"][step]))[0]
        fake = logits_of_fakes(fed["discriminator_latents"][step])
        discriminator_loss = torch.relu(1.0 - real).mean() + torch.relu(1.0 + fake).mean()
        update("discriminator", discriminator_loss)
        of_generator = logits_of_fakes(fed["generator_latents"][step])
        generator_loss = -of_generator.mean()
        update("generator", generator_loss)
        found = (discriminator_loss, generator_loss, real, fake, of_generator)
        names = (*lockstep.LOSSES, *lockstep.LOGITS)
        values = zip(names, (value.detach().numpy() for value in found), strict=True)
        yield {**dict(values), **torch_parity.arrays(by_name)}


if __name__ == "__main__":
    take_turns(prepare)
