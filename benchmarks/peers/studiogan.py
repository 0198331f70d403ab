"""github.com/POSTECH-CVLab/PyTorch-StudioGAN with its SAGAN settings, its own modules from a clone.

"as written" is the step of its worker.py: fakes of the discriminator's step without gradients, real
and fake images in passes of their own. Its spectral norm is PyTorch's. "tuned" has one pass and
channels-last; "compiled" adds torch.compile.
"""

import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from peers import torch_tools
from take_turns import take_turns
from torch.torch_version import TorchVersion

UNUSED = (
    *("torchvision", "torchvision.transforms", "torchvision.datasets", "torchvision.utils"),
    *("seaborn", "matplotlib", "matplotlib.pyplot", "kornia", "kornia.filters"),
    *("PIL", "scipy", "scipy.signal", "scipy.stats", "tqdm"),
)


def prepare(settings):
    """Returns the task that the settings name."""
    sys.path.insert(0, str(Path(settings["clone"]) / "src"))
    torch.manual_seed(0)
    torch_tools.stand_in(*UNUSED)
    try:
        import pkg_resources  # noqa: F401  it asks which version of PyTorch there is
    except ModuleNotFoundError:  # gone from setuptools 82 on
        sys.modules["pkg_resources"] = types.SimpleNamespace(parse_version=TorchVersion)
    tasks = {"train_step": train_step, "sample": sample, "attention": attention}
    return torch_tools.answer(tasks[settings["task"]](settings))


def networks(settings):
    """Returns its generator and discriminator on the device, tuned if asked for."""
    import config
    from models import resnet

    if settings["family"] != "resnet" or not settings["classes"]:
        sys.exit("StudioGAN's SAGAN is a class-conditional ResNet")
    file = Path(settings["clone"]) / "src" / "configs" / "ImageNet" / "SAGAN-256.yaml"
    cfgs = config.Configurations(str(file))
    size, sizes = settings["image_size"], settings["attention"] or []
    model = cfgs.MODEL
    shared = {
        "img_size": size,
        "apply_attn": bool(sizes),
        "num_classes": settings["classes"],
        "mixed_precision": False,
        "MODULES": cfgs.MODULES,
        "MODEL": model,
    }
    generator = resnet.Generator(
        z_dim=settings["latent_dim"],
        g_shared_dim=model.g_shared_dim,
        g_conv_dim=settings["width"],
        attn_g_loc=[(s // 4).bit_length() - 1 for s in sizes],
        g_cond_mtd=model.g_cond_mtd,
        g_init=model.g_init,
        g_depth=model.g_depth,
        **shared,
    )
    discriminator = resnet.Discriminator(
        d_conv_dim=settings["width"],
        apply_d_sn=model.apply_d_sn,
        attn_d_loc=[(size // s).bit_length() - 1 for s in sizes],
        d_cond_mtd=model.d_cond_mtd,
        aux_cls_type=model.aux_cls_type,
        d_embed_dim=model.d_embed_dim,
        normalize_d_embed=model.normalize_d_embed,
        d_init=model.d_init,
        d_depth=model.d_depth,
        **shared,
    )
    made = _Logits(discriminator).to(torch_tools.device())
    generator = generator.to(torch_tools.device())
    for module in (generator, made):
        torch_tools.cast_forward(module, settings["precision"])
        if settings["variant"] != "as written":
            module.to(memory_format=torch.channels_last)
        if settings["variant"] == "compiled":
            module.compile()
    return generator, made


class _Logits(torch.nn.Module):
    """Its discriminator gives a dictionary; this gives the logits."""

    def __init__(self, discriminator):
        super().__init__()
        self.discriminator = discriminator

    def forward(self, x, labels):
        return self.discriminator(x, labels)["adv_output"]


def train_step(settings):
    """One update of each network."""
    generator, discriminator = networks(settings)
    device, batch, size = torch_tools.device(), settings["batch_size"], settings["image_size"]
    images = torch.rand(batch, 3, size, size, device=device) * 2 - 1
    labels = torch.randint(0, settings["classes"], (batch,), device=device)
    optimizers = [
        torch.optim.Adam(model.parameters(), rate, betas=(0.0, 0.999))
        for model, rate in ((generator, 1e-4), (discriminator, 4e-4))
    ]

    def generate():
        return generator(torch.randn(batch, settings["latent_dim"], device=device), labels)

    def discriminate(x):
        if settings["variant"] == "as written":
            return torch.cat([discriminator(part, labels) for part in x.split(batch)])
        return discriminator(x, labels.repeat(len(x) // batch))

    if settings["variant"] != "as written":
        images = images.to(memory_format=torch.channels_last)
    return torch_tools.hinge_step(
        generate, discriminate, optimizers, (generator, discriminator), images
    )


def sample(settings):
    """A batch of pictures, as uint8 on the host."""
    generator, _ = networks(settings)
    generator.eval()
    device, batch = torch_tools.device(), settings["batch_size"]

    def generate():
        latent = torch.randn(batch, settings["latent_dim"], device=device)
        labels = torch.randint(0, settings["classes"], (batch,), device=device)
        return generator(latent, labels, eval=True)

    return torch_tools.sample_task(generate)


def attention(settings):
    """Its attention module on a map."""
    import config
    import utils.ops

    if settings["form"] != "final":
        sys.exit("StudioGAN pools the keys and values: it has the final form alone")
    file = Path(settings["clone"]) / "src" / "configs" / "ImageNet" / "SAGAN-256.yaml"
    modules = config.Configurations(str(file)).MODULES
    module = utils.ops.SelfAttention(settings["shape"][-1], is_generator=True, MODULES=modules)
    return torch_tools.attention_task(module.to(torch_tools.device()), settings)


if __name__ == "__main__":
    take_turns(prepare)
