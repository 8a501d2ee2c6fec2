// Fields: one field after the other is dropped or changed, and calls must become what the proof then says.
package route

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"meshlatch/conformance/defects"
	"meshlatch/conformance/report"
)

// Fields changes every nth field of a case, each by itself.
func Fields(ctx context.Context, settings Settings, c *report.Case, dir string, every int) error {
	list, err := defects.Fields(dir)
	if err != nil {
		return err
	}
	if err := settings.clearLogs(); err != nil {
		return err
	}
	w, err := Open(ctx, settings, c, dir)
	if w != nil {
		defer w.Close()
	}
	if err == nil {
		err = w.green(ctx, time.Minute)
	}
	c.Judge("every declared call is answered", err)
	for i := 0; err == nil && i < len(list) && ctx.Err() == nil; i += every {
		err = w.field(ctx, list[i])
	}
	return errors.Join(err, ctx.Err())
}

// field makes a change, judges the proof, and mends it. The error is that of mending.
func (w *World) field(ctx context.Context, d *defects.Defect) error {
	if err := w.spoil(d); err != nil {
		return err
	}
	if refused := errors.Join(w.takeAway(ctx, d), w.apply(ctx, d)); refused != nil {
		w.Case.Judge(d.Slug+": refused: "+oneLine(refused.Error()), nil)
	} else {
		// A gateway may have to come up anew; what would end at last has the time to do so.
		_ = w.Clusters[clusterOf(d.Changes[0].File)].Available(ctx, time.Minute)
		sleep(ctx, 3*time.Second)
		w.judgeProof(ctx, d.Slug, broken)
	}
	return errors.Join(w.mend(ctx, d), w.green(ctx, longestReturn))
}

// takeAway takes the object away that will have another text. What stays of one that changes, such as the endpoints
// of a Service that loses its selector, no file says.
func (w *World) takeAway(ctx context.Context, d *defects.Defect) error {
	it := d.Changes[0]
	objects, err := defects.Objects(filepath.Join(w.Dir, it.File))
	if err != nil {
		return err
	}
	for _, o := range objects {
		if o.Kind == it.Kind && o.Metadata.Name == it.Name {
			_, err = w.Clusters[clusterOf(it.File)].Kubectl(ctx, o.Text, "delete", "--ignore-not-found", "-f", "-")
		}
	}
	return err
}

// apply applies what changed.
func (w *World) apply(ctx context.Context, d *defects.Defect) error {
	file := d.Changes[0].File
	_, changed, err := difference(filepath.Join(w.Dir, file), filepath.Join(broken, file))
	if err != nil || changed == "" {
		return err
	}
	_, err = w.Clusters[clusterOf(file)].Kubectl(ctx, changed, "apply", "-f", "-")
	return err
}

// mend applies the good bundle, whatever came of the change.
func (w *World) mend(ctx context.Context, d *defects.Defect) error {
	file := d.Changes[0].File
	c := w.Clusters[clusterOf(file)]
	gone, _, err := difference(filepath.Join(broken, file), filepath.Join(w.Dir, file))
	if err != nil {
		return err
	}
	if gone != "" {
		// What was refused is not there, and may be no object at all.
		_, _ = c.Kubectl(ctx, gone, "delete", "--ignore-not-found", "-f", "-")
	}
	_, err = c.Kubectl(ctx, "", "apply", "-k", filepath.Join(w.Dir, "out", c.Name))
	return err
}
