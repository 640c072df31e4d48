"""Reads result folders as their users do, with pandas and DuckDB: names, types, row counts, nulls, and agreement
between the files.

Usage: read_results.py SWEEP, the path of the command. It makes the folders itself.
"""

import contextlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib

import duckdb
import numpy as np
import pandas as pd

SAMPLES = {"method": "string", "alpha": "float64", "start": "int64", "x0_0": "float64", "x0_1": "float64",
           "x_0": "float64", "x_1": "float64", "loss": "float64", "grad_norm": "float64", "distance": "float64",
           "iterations": "int64", "evaluations": "int64", "fallbacks": "int64", "status": "string"}
PATHS = {"method": "string", "alpha": "float64", "start": "int64", "iteration": "int64", "x_0": "float64",
         "x_1": "float64", "y_0": "float64", "y_1": "float64", "loss": "float64", "status": "string"}
SQL = {"string": "VARCHAR", "float64": "DOUBLE", "int64": "BIGINT"}

checks = 0


def check(what, got, want):
    global checks
    checks += 1
    if got != want:
        sys.exit(f"read_results: {what}: {got!r}, want {want!r}")


def kind(dtype):
    return "string" if pd.api.types.is_string_dtype(dtype) else str(dtype)


def documented(out):
    """The examples of docs/formats.md run as they stand."""
    text = (pathlib.Path(__file__).parent.parent / "docs" / "formats.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    check("examples", len(blocks), 2)
    here = os.getcwd()
    os.chdir(out.parent)
    try:
        for block in blocks:
            with contextlib.redirect_stdout(io.StringIO()):
                names = {}
                exec(block, names)
            if "share" in names:
                check("example of pandas", names["share"].shape, (5, 3))
    finally:
        os.chdir(here)


def run(sweep, *args):
    subprocess.run([sweep, *args, "--format", "csv", "--quiet"], check=True, stdout=subprocess.DEVNULL)


def main(sweep):
    with tempfile.TemporaryDirectory() as tmp:
        square(sweep, pathlib.Path(tmp) / "results")
        documented(pathlib.Path(tmp) / "results")
        many(sweep, pathlib.Path(tmp) / "many")
        not_a_number(sweep, pathlib.Path(tmp))
        no_minima(sweep, pathlib.Path(tmp))
    print(f"read_results: {checks} checks passed (pandas {pd.__version__}, DuckDB {duckdb.__version__})")


def square(sweep, out):
    run(sweep, "--alpha", "0.1:10:5", "--starts", "1000", "-m", "gd:lr=0.1", "-m", "gd:lr=0.2", "-m", "newton", "--out", str(out))
    check("files", sorted(f.name for f in out.iterdir()),
          ["config.toml", "paths.parquet", "run.json", "samples.parquet", "summary.csv", "summary.json"])
    methods = ["gd:lr=0.1", "gd:lr=0.2", "newton"]

    s = pd.read_parquet(out / "samples.parquet")
    check("columns in order", {c: kind(t) for c, t in s.dtypes.items()}, SAMPLES)
    check("column order", list(s.columns), list(SAMPLES))
    check("index", (type(s.index), s.index.start, s.index.stop), (pd.RangeIndex, 0, 15000))
    check("methods in order", list(s.method.unique()), methods)
    check("nulls", int(s.isna().drop(columns=["loss", "x_0", "x_1", "grad_norm", "distance"]).sum().sum()), 0)
    check("starts", list(s.start), list(range(1000)) * 15)
    check("same starts everywhere", s.groupby("start")[["x0_0", "x0_1"]].nunique().max().max(), 1)
    check("values of alpha", sorted(s.alpha.unique()), [0.1, 10**-0.5, 1.0, 10**0.5, 10.0])
    done = s[s.status == "converged"]
    check("converged samples are near the minimum", bool((done.distance <= 1e-6).all()), True)
    check("distance is that of x", bool(np.allclose(done.distance, np.hypot(done.x_0, done.x_1), rtol=1e-9, atol=0)), True)

    c = pd.read_csv(out / "summary.csv")
    check("summary columns", list(c.columns),
          ["method", "alpha", "samples", "converged", "iterations_median", "iterations_p90", "loss_median", "distance_median",
           "diverged", "fallbacks", "evaluations", "path_deviation", "best_start", "best_loss", "best_x_0", "best_x_1"])
    check("summary types", [kind(t) for t in c.dtypes],
          ["string", "float64", "int64", "int64", "float64", "float64", "float64", "float64", "int64", "int64", "int64", "float64",
           "int64", "float64", "float64", "float64"])
    by = s.groupby(["method", "alpha"], sort=False)
    check("converged per cell", list(c.converged), list(by.status.agg(lambda x: int((x == "converged").sum()))))
    check("evaluations per cell", list(c.evaluations), list(by.evaluations.sum()))
    nearest_rank = lambda x: float(np.sort(np.where(np.isnan(x), np.inf, x))[(len(x) + 1) // 2 - 1])
    best = s.loc[s[s.status != "diverged"].groupby(["method", "alpha"], sort=False).loss.idxmin()]
    check("best samples", c[["best_start", "best_loss", "best_x_0", "best_x_1"]].to_numpy().tolist(), best[["start", "loss", "x_0", "x_1"]].to_numpy().tolist())
    check("median loss per cell", list(c.loss_median), [nearest_rank(g.loss.to_numpy()) for _, g in by])

    j = json.loads((out / "summary.json").read_text())
    check("summary.json", (j["problem"], j["complete"], j["samples"], j["samples_done"], len(j["results"])), ("square", True, 15000, 15000, 15))
    for row, r in zip(c.itertuples(), j["results"]):
        check("the two summaries", (row.method, row.alpha, row.converged, row.evaluations), (r["method"], r["params"]["alpha"], r["converged"], r["evaluations"]))
        check("the best of the two summaries", (row.best_start, row.best_loss, [row.best_x_0, row.best_x_1]), tuple(r["best"].values()))
        check("infinite", "path_deviation" in r.get("infinite", []), bool(np.isinf(row.path_deviation)))
    check("pandas reads the cells", len(pd.json_normalize(j["results"])), 15)

    config = tomllib.loads((out / "config.toml").read_text())
    check("config.toml", (config["format"], config["limits"]["iterations"], config["starts"]["count"], [m["name"] for m in config["method"]]),
          (1, 100, 1000, ["gd", "gd", "newton"]))
    check("the problem's text", tomllib.loads(config["problem"]["file"])["name"], "square")

    p = pd.read_parquet(out / "paths.parquet")
    check("path columns", {n: kind(t) for n, t in p.dtypes.items()}, PATHS)
    check("paths", p[p.iteration == 0].shape[0], 3 * 5 * 16)
    last = p.groupby(["method", "alpha", "start"], sort=False).last().reset_index()
    joined = last.merge(s, on=["method", "alpha", "start"], suffixes=("", "_sample"))
    check("paths end where their samples do", bool(np.array_equal(joined.loss, joined.loss_sample, equal_nan=True)
                                                   and (joined.iteration == joined.iterations).all()
                                                   and (joined.status == joined.status_sample).all()), True)

    db = duckdb.connect()
    for name, want, rows in [("samples", SAMPLES, 15000), ("paths", PATHS, len(p))]:
        described = db.sql(f"describe select * from '{out}/{name}.parquet'").fetchall()
        check(f"DuckDB columns of {name}", [(d[0], d[1]) for d in described], [(n, SQL[t]) for n, t in want.items()])
        check(f"DuckDB rows of {name}", db.sql(f"select count(*) from '{out}/{name}.parquet'").fetchall(), [(rows,)])
    check("DuckDB converged", [tuple(r) for r in db.sql(
        f"select method, alpha, count(*) filter (status = 'converged') from '{out}/samples.parquet' group by all order by 1, 2").fetchall()],
        [tuple(r) for r in c.sort_values(["method", "alpha"])[["method", "alpha", "converged"]].itertuples(index=False, name=None)])
    check("DuckDB filter by the statistics of the row groups", db.sql(
        f"select count(*) from '{out}/samples.parquet' where loss < 1e-9").fetchall()[0][0], int((s.loss < 1e-9).sum()))
    check("DuckDB reads summary.csv", db.sql(f"select sum(converged) from '{out}/summary.csv'").fetchall()[0][0], int(c.converged.sum()))


def many(sweep, out):
    """More than one row group, and losses that are infinite or NaN."""
    run(sweep, "--alpha", "1,100", "--starts", "100000", "-m", "gd:lr=1", "--iterations", "200", "--out", str(out))
    s = pd.read_parquet(out / "samples.parquet")
    check("rows", len(s), 200000)
    groups = duckdb.sql(f"select count(distinct row_group_id) from parquet_metadata('{out}/samples.parquet')").fetchall()[0][0]
    check("row groups", groups, 2)
    check("samples that diverged", bool((s[s.status == "diverged"].shape[0] > 1000) and (~np.isfinite(s[s.status == "diverged"].loss)).any()), True)
    for where in ["loss > 1e300", "loss < 1", "isnan(loss)", "isinf(loss)"]:
        mask = {"loss > 1e300": (s.loss > 1e300) | s.loss.isna(), "loss < 1": s.loss < 1, "isnan(loss)": s.loss.isna(), "isinf(loss)": np.isinf(s.loss)}[where]
        check(f"DuckDB where {where}", duckdb.sql(f"select count(*) from '{out}/samples.parquet' where {where}").fetchall()[0][0], int(mask.sum()))


def not_a_number(sweep, tmp):
    """Losses that are NaN beside others that are finite, of which the least and the greatest say nothing of the NaNs."""
    file = tmp / "root.toml"
    file.write_text('inputs = ["x"]\noutputs = ["sqrt(x)"]\ntarget = [0.5]\nbox = [[-1, 1]]\n')
    run(sweep, "--problem", str(file), "--starts", "1000", "-m", "gd:lr=0.01", "--out", str(tmp / "steep"))
    s = pd.read_parquet(tmp / "steep" / "samples.parquet")
    count = int(s.loss.isna().sum())
    check("NaNs beside finite losses", bool(100 < count < 900 and not np.isinf(s.loss).any()), True)
    for where in ["isnan(loss)", "loss > 1e300"]:
        check(f"DuckDB where {where}", duckdb.sql(f"select count(*) from '{tmp}/steep/samples.parquet' where {where}").fetchall()[0][0], count)


def no_minima(sweep, tmp):
    """A problem without parameters and known minima: no distance."""
    file = tmp / "plain.toml"
    file.write_text('inputs = ["x"]\noutputs = ["x", "exp(x)"]\ntarget = [1, 2]\nbox = [[-1, 1]]\n')
    run(sweep, "--problem", str(file), "--starts", "50", "-m", "gn", "--out", str(tmp / "plain"))
    s = pd.read_parquet(tmp / "plain" / "samples.parquet")
    check("columns without parameters", list(s.columns)[:4], ["method", "start", "x0_0", "x_0"])
    check("distance is null", (kind(s.distance.dtype), int(s.distance.isna().sum())), ("float64", 50))
    check("DuckDB: distance is null", duckdb.sql(f"select count(*) from '{tmp}/plain/samples.parquet' where distance is null").fetchall()[0][0], 50)


if __name__ == "__main__":
    main(str(pathlib.Path(sys.argv[1]).resolve()))
