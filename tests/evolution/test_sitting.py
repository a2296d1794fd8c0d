from evolution.sitting import gpu_names, machine_slots, sitting, visible_devices
from evolution.workspace import open_run
from population import TrialStatus
from tests.evolution.runs import a_run


def test_a_sitting_trains_on_this_machine_and_sweeps_what_was_left(tmp_path):
    paths = a_run(tmp_path, run__budget=4096.0, workers__count=1, limits__trials=1)
    paths.scratch.mkdir(exist_ok=True)
    (paths.scratch / "left-over").write_text("of a killed engine")
    with open_run(paths) as workspace:
        with sitting(workspace) as engine:
            engine._begin()
            while not workspace.store.trials(status=TrialStatus.COMPLETE):
                engine.step()
            engine.request_stop()
            engine.run()
        assert not (paths.scratch / "left-over").exists()
        assert workspace.store.trials(status=TrialStatus.COMPLETE)[0].outcome.val_bpb < 12


def test_a_wall_budget_takes_the_visible_gpus_and_others_take_cores(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H100'\necho 'NVIDIA H100'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpu_names() == ["NVIDIA H100", "NVIDIA H100"]
    assert visible_devices(2) == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert visible_devices(2) == ["3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert visible_devices(2) == []
    paths = a_run(tmp_path / "runs", workers__count=3)
    with open_run(paths) as workspace:
        slots, device_class = machine_slots(workspace)
        assert (len(slots), device_class) == (3, "cpu")


def test_a_machine_without_nvidia_smi_has_no_gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_names() == []
