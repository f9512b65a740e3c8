"""Images/s of a timm model by the plainest means, with nothing of the harness: timm, a loop and a clock.

Freed memory is kept, as the environment of the process says: MALLOC_MMAP_MAX_=0, MALLOC_TRIM_THRESHOLD_.

python independent.py MODEL MODE BATCH PX PRECISION LAYOUT THREADS SECONDS; prints ms of every step.
"""

import json
import sys
import time

import timm
import torch


def main() -> None:
    model, mode, batch, size, precision, layout, threads, seconds = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    network = timm.create_model(model, pretrained=False, num_classes=1000)
    images = torch.randn(int(batch), 3, int(size), int(size))
    if layout == "channels_last":
        network, images = (thing.to(memory_format=torch.channels_last) for thing in (network, images))
    if mode == "infer":
        network.eval()
        if precision == "bf16":
            network, images = network.bfloat16(), images.bfloat16()

        def step() -> None:
            with torch.inference_mode():
                network(images)
    else:
        network.train()
        for module in network.modules():
            if isinstance(module, torch.nn.ReLU6):
                module.inplace = False  # saves autograd a copy
        labels = torch.randint(1000, (int(batch),))
        # Norms and biases are not decayed; it changes the number of kernels, not their work.
        vectors = [p for p in network.parameters() if p.ndim <= 1]
        matrices = [p for p in network.parameters() if p.ndim > 1]
        groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=1e-6, fused=True)

        def step() -> None:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = torch.nn.functional.cross_entropy(network(images), labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()

    for _ in range(6):
        step()
    times = []
    while len(times) < 5 or sum(times) < float(seconds):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    print(json.dumps([1000 * value for value in times]))


if __name__ == "__main__":
    main()
