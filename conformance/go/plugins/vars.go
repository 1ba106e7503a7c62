package plugins

import (
	"net/http"

	pkgHTTP "github.com/apache/apisix-go-plugin-runner/pkg/http"
	"github.com/apache/apisix-go-plugin-runner/pkg/log"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
)

func init() { register(&Vars{}) }

// Vars answers with the gateway's variables; one without a value is null.
type Vars struct{ plugin.DefaultPlugin }

type VarsConf struct {
	Vars []string `json:"vars"`
}

func (p *Vars) Name() string { return "conf-vars" }

func (p *Vars) ParseConf(in []byte) (interface{}, error) { return parse[VarsConf](in) }

func (p *Vars) RequestFilter(conf interface{}, w http.ResponseWriter, r pkgHTTP.Request) {
	values := map[string]*string{}
	for _, name := range conf.(VarsConf).Vars {
		value, err := r.Var(name)
		if err != nil {
			log.Errorf("variable %s: %s", name, err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		values[name] = nil
		if value != nil {
			text := string(value)
			values[name] = &text
		}
	}
	tell(w, values)
}
