"""Imported once by the process from which the others are forked."""

import torch

import bench.cli.verbs
import bench.exchange.tracking
import bench.networks.build
import bench.report.render
import bench.report.sections
import bench.running.execute
import bench.running.preflight
import bench.running.runner
import bench.tables.tables  # noqa: F401

torch.set_num_threads(1)
